"""How much room the images of a job take in the store, before they are generated."""

import math
from collections.abc import Iterable, Sequence

from jobs.pictures.output_formats import OUTPUT_FORMATS, PictureFormat
from jobs.validation.request import Request

_BYTES_PER_FILE = 8192
"""For the infotext, and for the blocks of the file system."""


def room_of(request: Request, sizes: Sequence[tuple[int, int]]) -> int:
    """Bytes that the images and the grid of a job take at most.

    Args:
        request: the job's.
        sizes: width and height of each of its finished images.
    """
    pixels, files = sum(map(math.prod, sizes)), len(sizes)
    if has_grid(request, files):
        pixels, files = pixels + files * math.prod(cell_of(sizes)), files + 1
    return room_for(pixels, files, request.format)


def cell_of(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Width and height of a cell of a grid that every image is within."""
    widths, heights = zip(*sizes, strict=True)
    return max(widths), max(heights)


def has_grid(request: Request, images: int) -> bool:
    """Whether a job with so many images has a grid of them; a comparison always has one."""
    return bool(request.vary) or (images > 1 and not request.skip_grid)


def room_for(pixels: int, files: int, picture_format: PictureFormat) -> int:
    """Bytes that so many files with so many pixels together take at most."""
    per_pixel = OUTPUT_FORMATS[picture_format].bytes_per_pixel
    return round(pixels * per_pixel) + files * _BYTES_PER_FILE
