"""Finished pictures, and the names under which they are saved."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

GRID = "grid"


@dataclass(frozen=True)
class Picture:
    """One picture of a finished job, with its recipe in its metadata.

    Attributes:
        job_id: the job's.
        index: which picture, from 0; None: the picture of all pictures.
        data: the bytes of its file.
        format: png or jpg.
        seed: draws it again, alone, too; None of the picture of all pictures.
    """

    job_id: str
    index: int | None
    data: bytes = field(repr=False)
    format: str
    seed: int | None

    @property
    def name(self) -> str:
        """`0`, `1`, ... or `grid`."""
        return GRID if self.index is None else str(self.index)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write its file, whole or not at all; one of that name is replaced. Raises OSError."""
        return write(Path(path), self.data)


def save_all(pictures: Sequence[Picture], path: str | PathLike[str]) -> list[Path]:
    """Save pictures under one name.

    Args:
        pictures: of one job.
        path: `out.png`. Of several pictures it becomes `out-0.png`, `out-1.png`, ..., and
            `out-grid.png`. Without an ending it gets that of the format; of a folder that exists,
            the job's id is the name in it.

    Returns:
        the files, in the order of the pictures. Raises OSError.
    """
    return [
        picture.save(target)
        for picture, target in zip(pictures, names_for(pictures, Path(path)), strict=True)
    ]


def names_for(pictures: Sequence[Picture], path: Path) -> list[Path]:
    """The files that `save_all` writes."""
    if path.is_dir() and pictures:
        path = path / pictures[0].job_id
    several = len(pictures) > 1
    return [
        path.with_name(
            (f"{_stem(path)}-{picture.name}" if several else _stem(path))
            + (_ending(path) or f".{picture.format}")
        )
        for picture in pictures
    ]


def write(path: Path, data: bytes) -> Path:
    """Write a file under another name, then rename it. Raises OSError."""
    if path.exists() and not path.is_file():  # /dev/null, a pipe
        path.write_bytes(data)
        return path
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".sd-", suffix=path.suffix)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        part.chmod(0o666 & ~_umask())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def _ending(path: Path) -> str:
    """`.png` and the like; what follows the dot of `v1.5 dragon` is no ending."""
    return path.suffix if path.suffix.lower() in (".png", ".jpg", ".jpeg") else ""


def _stem(path: Path) -> str:
    return path.name.removesuffix(_ending(path)) if _ending(path) else path.name


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
