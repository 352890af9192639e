"""Masks as images: 255 is drawn anew, 0 is kept, what is between may change in part.

Sources: AUTOMATIC1111's `modules/masking.py` and `StableDiffusionProcessingImg2Img.init`.
"""

import math
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
    box = mask.getbbox()
    if reach == 0 or box is None:
        return mask
    # a mask is often a small part of a large picture
    left, top, right, bottom = box
    box = max(0, left - reach), max(0, top - reach), right + reach, bottom + reach
    box = *box[:2], min(mask.width, box[2]), min(mask.height, box[3])
    offsets = numpy.arange(-reach, reach + 1)
    kernel = numpy.exp(-(offsets**2) / (2 * sigma**2))
    values = numpy.asarray(mask.crop(box), dtype=numpy.float64)
    for _ in ("rows", "columns"):
        values = _blurred_rows(values, kernel / kernel.sum()).T
    result = Image.new("L", mask.size)
    result.paste(Image.fromarray(numpy.rint(values).astype(numpy.uint8)), box[:2])
    return result


def _blurred_rows(
    values: "numpy.ndarray[Any, Any]", kernel: "numpy.ndarray[Any, Any]"
) -> "numpy.ndarray[Any, Any]":
    """Each row convolved with a kernel; its first and last pixels go on at the ends."""
    reach = len(kernel) // 2
    padded = numpy.pad(values, ((0, 0), (reach, reach)), "edge")
    return numpy.stack([numpy.convolve(row, kernel, "valid") for row in padded])


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
