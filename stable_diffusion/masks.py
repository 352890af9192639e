"""Masks as images: 255 is drawn anew, 0 is kept, what is between may change in part.

Sources: AUTOMATIC1111's `modules/masking.py` and `StableDiffusionProcessingImg2Img.init`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy
from PIL import Image, ImageFilter, ImageOps

_FILL = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))
"""Radius in pixels of each blur, and how often its result is laid over the coarser ones."""
_MASK_RESAMPLING = Image.Resampling.BOX
"""It neither overshoots nor spreads a mask beyond the pixels that it covers."""


def fit_mask(mask: Image.Image, width: int, height: int) -> Image.Image:
    """The mask in the size given, cropped as `image.fit` crops the image that it belongs to."""
    return ImageOps.fit(mask, (width, height), _MASK_RESAMPLING)


def resized_mask(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The mask, mode L, stretched to a size."""
    grey = mask if mask.mode == "L" else mask.convert("L")
    return grey if grey.size == size else grey.resize(size, _MASK_RESAMPLING)


def blurred(mask: Image.Image, sigma: float) -> Image.Image:
    """The mask, mode L, after a Gaussian blur with a standard deviation of `sigma` pixels.

    It ends ⌊2.5·sigma + 0.5⌋ pixels away, as with OpenCV's kernel in AUTOMATIC1111: what is farther
    from the mask stays 0.
    """
    reach = math.floor(2.5 * sigma + 0.5)
    if reach == 0:
        return mask
    rows, columns = (_blur_matrix(length, sigma, reach) for length in (mask.height, mask.width))
    values = rows @ numpy.asarray(mask, dtype=numpy.float64) @ columns.T
    return Image.fromarray(numpy.rint(values).astype(numpy.uint8))


def _blur_matrix(length: int, sigma: float, reach: int) -> "numpy.ndarray[Any, Any]":
    """What a blur multiplies a column of so many pixels by; the last pixel goes on at an end."""
    offsets = numpy.arange(-reach, reach + 1)
    kernel = numpy.exp(-(offsets**2) / (2 * sigma**2))
    places = numpy.arange(length)[:, None]
    matrix = numpy.zeros((length, length))
    numpy.add.at(matrix, (places, (places + offsets).clip(0, length - 1)), kernel / kernel.sum())
    return matrix


def filled(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The RGB image with blurred surroundings in place of what is masked, fine ones near its edge.

    This is AUTOMATIC1111's `fill`; where all is masked the result is black.
    """
    kept = Image.new("RGBa", image.size)
    kept.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask))
    result = Image.new("RGBA", image.size)
    for radius, times in _FILL:
        layer = kept.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(times):
            result.alpha_composite(layer)
    return result.convert("RGB")


@dataclass(frozen=True)
class Box:
    """A rectangle of an image in pixels; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """As Pillow has it."""
        return self.left, self.top, self.right, self.bottom

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top


def masked_box(mask: Image.Image, padding: int) -> Box:
    """The smallest rectangle with the aspect ratio of the mask that holds all but its zeros.

    Args:
        padding: pixels that are added on each side, as far as the image goes.

    Returns:
        The whole mask if it is 0 everywhere.
    """
    width, height = mask.size
    left, top, right, bottom = mask.getbbox() or (0, 0, width, height)
    left, right = max(0, left - padding), min(width, right + padding)
    top, bottom = max(0, top - padding), min(height, bottom + padding)
    if (right - left) * height > (bottom - top) * width:
        top, bottom = _widened(top, bottom, -(-(right - left) * height // width), height)
    else:
        left, right = _widened(left, right, -(-(bottom - top) * width // height), width)
    return Box(left, top, right, bottom)


def _widened(start: int, end: int, length: int, limit: int) -> tuple[int, int]:
    """A range of `length` around another, moved so that it is between 0 and the limit."""
    start = min(max(0, start - (length - (end - start)) // 2), limit - length)
    return start, start + length
