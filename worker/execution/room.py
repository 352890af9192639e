"""How much room the images of a job take in the store, before they are generated."""

import math

from jobs.parameter_types import PictureFormat
from jobs.request import Request

_BYTES_PER_PIXEL = {"png": 3.1, "jpg": 2.1}
"""Of pure noise, which cannot be compressed, as `picture_encoding.encode` stores it at most."""
_BYTES_PER_FILE = 8192
"""For the infotext, and for the blocks of the file system."""


def room_of(request: Request, images: int, size: tuple[int, int]) -> int:
    """Bytes that the images and the grid of a job take at most.

    Args:
        request: the job's.
        images: of all its parts.
        size: width and height of its finished images.
    """
    pixels = images * math.prod(size)
    if has_grid(request, images):
        pixels, images = 2 * pixels, images + 1
    return room_for(pixels, images, request.format)


def has_grid(request: Request, images: int) -> bool:
    """Whether a job with so many images has a grid of them; a comparison always has one."""
    return bool(request.vary) or (images > 1 and not request.skip_grid)


def room_for(pixels: int, files: int, picture_format: PictureFormat) -> int:
    """Bytes that so many files with so many pixels together take at most."""
    return round(pixels * _BYTES_PER_PIXEL[picture_format]) + files * _BYTES_PER_FILE
