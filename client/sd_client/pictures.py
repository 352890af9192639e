"""Finished pictures, and saving them to files."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import get_args

from sd_client.parameters import PictureFormat

GRID = "grid"
EXTENSIONS: dict[str, str] = {f".{name}": name for name in get_args(PictureFormat)} | {
    ".jpeg": "jpg"
}
"""Extension of a file → the format that it means."""


@dataclass(frozen=True)
class Picture:
    """One picture of a finished job; the metadata in its file describe how to reproduce it.

    Attributes:
        job_id: id of the job.
        index: number of the picture, from 0; None: the grid of all pictures.
        data: the content of its file.
        format: one of PictureFormat.
        seed: reproduces this picture, also as a single one; None for the grid, and without one.
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
        """Write its file atomically; replaces an existing file. Raises OSError."""
        return write(Path(path), self.data)


def save_all(pictures: Sequence[Picture], path: str | PathLike[str]) -> list[Path]:
    """Save the pictures of one job. Raises OSError.

    Args:
        pictures: the pictures.
        path: such as `out.png`; several pictures become `out-0.png`, `out-1.png`, ..., and
            `out-grid.png`. A path without extension gets that of the format. In an existing
            folder the job's id is the name of the file.

    Returns:
        the files, in the order of the pictures.
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
            + (_extension(path) or f".{picture.format}")
        )
        for picture in pictures
    ]


def write(path: Path, data: bytes) -> Path:
    """Write a temporary file, then rename it. Raises OSError."""
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


def _extension(path: Path) -> str:
    """The extension of a picture file; empty for `v1.5 dragon`, which has none."""
    return path.suffix if path.suffix.lower() in EXTENSIONS else ""


def _stem(path: Path) -> str:
    return path.name.removesuffix(_extension(path)) if _extension(path) else path.name


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
