"""The SHA-256 of a model's weights, computed once and kept until its files change."""

import hashlib
import json
import os
import threading
from contextlib import suppress
from pathlib import Path

from stable_diffusion.errors import ModelNotFound, UnreadableModel
from stable_diffusion.weights.model_files import files_of
from stable_diffusion.weights.small_files import read_json

FileSignature = tuple[tuple[str, int, int, int], ...]


def file_signature(path: Path) -> FileSignature:
    """What changes when the weights do: name, size, modification time and inode of each file.

    Raises:
        ModelNotFound: the file or folder is not there.
        UnreadableModel: a folder without its weights.
    """
    try:
        found = [(file, file.stat()) for file in files_of(path)]
    except OSError as error:
        raise ModelNotFound(f"model {path.name!r} does not exist") from error
    return tuple((file.name, st.st_size, st.st_mtime_ns, st.st_ino) for file, st in found)


def size_on_disk(path: Path) -> int:
    """The bytes of a model's files. Raises ModelNotFound or UnreadableModel."""
    return sum(size for _, size, _, _ in file_signature(path))


class Fingerprints:
    """SHA-256 sums of models, kept in a file. Safe to share between threads and processes.

    Args:
        file: JSON file that keeps them; None: they are kept in this process only.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def known(self, path: Path) -> str | None:
        """The fingerprint if it was computed before. Raises as `file_signature` does."""
        key = _key(path)
        with self._lock:
            if key not in self._known:
                self._known |= self._read()
            return self._known.get(key)

    def of(self, path: Path) -> str:
        """The fingerprint, 64 hex digits: a file's SHA-256; for a folder, that of its files' sums.

        Reads all weights unless it is known. Raises as `file_signature` does.
        """
        found = self.known(path)
        if found is not None:
            return found
        key = _key(path)
        try:
            sums = [_sha256(file) for file in files_of(path)]
        except OSError as error:
            raise UnreadableModel(f"model {path.name!r} cannot be read: {error}") from error
        whole = sums[0] if path.is_file() else hashlib.sha256("".join(sums).encode()).hexdigest()
        if _key(path) == key:  # otherwise the files changed during the reading
            self._remember(key, whole)
        return whole

    def remember(self, path: Path, fingerprint: str) -> None:
        """Keep a fingerprint that was computed elsewhere. Raises as `file_signature` does."""
        self._remember(_key(path), fingerprint)

    def _remember(self, key: str, fingerprint: str) -> None:
        with self._lock:
            self._known[key] = fingerprint
            if self._file is None:
                return
            kept = self._read() | self._known
            partial = self._file.with_suffix(f".{os.getpid()}.partial")
            with suppress(OSError):  # without a writable folder they are kept in this process
                self._file.parent.mkdir(parents=True, exist_ok=True)
                partial.write_text(json.dumps(kept, indent=1))
                partial.replace(self._file)

    def _read(self) -> dict[str, str]:
        try:
            content = read_json(self._file) if self._file else {}
        except (OSError, ValueError):
            return {}
        return {str(k): str(v) for k, v in content.items()} if isinstance(content, dict) else {}


def _key(path: Path) -> str:
    return json.dumps([str(path.resolve()), file_signature(path)])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
