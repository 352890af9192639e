"""Bounds what Pillow reads of a directory of tags: that of a TIFF, and of EXIF in any format.

Pillow reads the values of all tags when it opens a file, each into memory of its own. A directory
has up to 65,535 tags, and all of them may name the same 10 MB of the file. Values in files that
people have do not overlap.
"""

import os
from typing import IO

from PIL import TiffTags
from PIL.TiffImagePlugin import ImageFileDirectory_v2

MAX_NUMBERS = 2**17
"""In the value of one tag. A picture of 4096 × 4096 pixels in tiles of 16 × 16 has 2^16 of them;
Pillow makes a Python object of each."""
_TEXT_TYPES = (TiffTags.BYTE, TiffTags.ASCII, TiffTags.UNDEFINED)

_UNITS = {kind: unit for kind, (unit, _) in ImageFileDirectory_v2._load_dispatch.items()}
"""Type -> the bytes of one value."""

_load = ImageFileDirectory_v2.load


def _load_bounded(self: ImageFileDirectory_v2, fp: IO[bytes]) -> None:
    """Pillow's method. Raises ValueError if the values are longer than the file."""
    start = fp.tell()
    left = fp.seek(0, os.SEEK_END)
    fp.seek(start)
    if getattr(self, "_bigtiff", False):
        raise ValueError("a BigTIFF")
    order = "little" if self.prefix == b"II" else "big"
    for _ in range(int.from_bytes(fp.read(2), order)):
        entry = fp.read(12)
        kind, count = int.from_bytes(entry[2:4], order), int.from_bytes(entry[4:8], order)
        if kind not in _TEXT_TYPES and count > MAX_NUMBERS:
            raise ValueError("a tag has too many numbers")
        unit = _UNITS.get(kind, 0)
        left -= unit * count if unit * count > 4 else 0
        if left < 0:
            raise ValueError("the values of the tags overlap")
    fp.seek(start)
    _load(self, fp)


def bound_directories() -> None:
    """From now on, in this process."""
    ImageFileDirectory_v2.load = _load_bounded
