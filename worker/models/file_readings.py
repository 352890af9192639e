"""What was read of files: kept until a file changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from worker.models.model_key import FileSignature, file_signature

T = TypeVar("T")


class FileReadings(Generic[T]):
    """Reads a file once, and again when its size or time has changed.

    Args:
        read: reads a file; an OSError of it means that nothing can be read.
    """

    def __init__(self, read: Callable[[Path], T]) -> None:
        self._read = read
        self._known: dict[Path, tuple[FileSignature, T]] = {}

    def of(self, path: Path) -> T | None:
        """What the file says; None if it cannot be read."""
        try:
            signature = file_signature(path)
            known = self._known.get(path)
            if known is None or known[0] != signature:
                known = self._known[path] = signature, self._read(path)
        except OSError:
            return None
        return known[1]
