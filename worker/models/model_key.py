"""Which model a job needs, as a value: what stands on the model_cache is found by it."""

from dataclasses import dataclass, replace
from pathlib import Path

FileSignature = tuple[int, int]


@dataclass(frozen=True)
class LoraKey:
    """A LoRA's file as it is now, and how much of it is added."""

    name: str
    path: Path
    signature: FileSignature
    weight: float


@dataclass(frozen=True)
class ModelKey:
    """A model as a job wants it. Equal ones are the same model.

    Attributes:
        name: canonical.
        path: its file or folder.
        signature: changes when the file does.
        loras: what is added to it.
        offloaded: its weights rest in main memory until the device needs them.
    """

    name: str
    path: Path
    signature: FileSignature = (0, 0)
    loras: tuple[LoraKey, ...] = ()
    offloaded: bool = False

    @property
    def base(self) -> "ModelKey":
        """The same model without LoRAs."""
        return replace(self, loras=())

    def is_older(self, other: "ModelKey") -> bool:
        """Whether this is the same file as it was before it changed."""
        return (self.name, self.path) == (
            other.name,
            other.path,
        ) and self.signature != other.signature


def file_signature(path: Path) -> FileSignature:
    """Changes when a file does, or one of a model folder's weights."""
    files = [path] if path.is_file() else sorted(path.glob("*/*"))
    stats = [file.stat() for file in files if file.is_file()]
    return sum(st.st_size for st in stats), max((st.st_mtime_ns for st in stats), default=0)
