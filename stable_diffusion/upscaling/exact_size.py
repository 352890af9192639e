"""Images of an exact size: doubled as often as needed, then cropped and resampled.

    large = to_size(image, 4096, 2304, double)

A large image is made in windows, so that beside the image and the result only one doubled window
exists, whatever the size.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise, product

from PIL import Image

WINDOW = 2048
"""Side of a window of the result, in pixels, at most."""
CONTEXT = 36
"""Pixels of the image around what becomes a window: an upscaler's overlap and Lanczos' support."""
# windows begin at multiples of the largest unshuffle factor of an upscaler
_STEP = 4

Box = tuple[float, float, float, float]
Double = Callable[[Image.Image, float, float], Image.Image]
"""Makes an image twice as large. The two numbers say which part of the whole work this is: from 0,
the beginning, to 1."""


def doublings(size: tuple[int, int], width: int, height: int) -> int:
    """How often an image of a size must be doubled to have at least width x height pixels."""
    left, top, right, bottom = _box(size, width, height)
    factor = max(width / (right - left), height / (bottom - top))
    return max(0, math.ceil(math.log2(factor) - 1e-9))


def to_size(image: Image.Image, width: int, height: int, double: Double) -> Image.Image:
    """The image as RGB of width x height pixels.

    A smaller image is doubled until it is at least as large. The longer side is cropped around the
    centre, and what is larger is resampled with Lanczos, as `image.fit` does.
    """
    count = doublings(image.size, width, height)
    if not count:
        from stable_diffusion.image import fit  # noqa: PLC0415 - imports torch

        return fit(image, width, height)
    left, top, right, bottom = _box(image.size, width, height)
    outer = math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)
    image = image.convert("RGB").crop(outer)
    box = (left - outer[0], top - outer[1], right - outer[0], bottom - outer[1])
    # each doubling is four times the work of the one before
    ends = [(4**number - 1) / (4**count - 1) for number in range(count + 1)]
    *earlier, last = pairwise(ends)
    for share in earlier:
        whole = (0, 0, *image.size)
        image = _doubled(image, whole, (2 * image.width, 2 * image.height), double, *share)
        box = 2 * box[0], 2 * box[1], 2 * box[2], 2 * box[3]
    return _doubled(image, box, (width, height), double, *last)


def _doubled(
    image: Image.Image, box: Box, size: tuple[int, int], double: Double, start: float, end: float
) -> Image.Image:
    """What is in a box of the image, doubled and brought to a size, a window at a time."""
    large = Image.new("RGB", size)
    across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]
    done = 0
    for window in _windows(size):
        left, top, right, bottom = window
        source = (
            box[0] + left * across,
            box[1] + top * down,
            box[0] + right * across,
            box[1] + bottom * down,
        )
        around = _with_context(source, image.size)
        pixels = (right - left) * (bottom - top)
        part = double(
            image.crop(around),
            start + (end - start) * done / math.prod(size),
            start + (end - start) * (done + pixels) / math.prod(size),
        )
        done += pixels
        inner = (
            2 * (source[0] - around[0]),
            2 * (source[1] - around[1]),
            min(2 * (source[2] - around[0]), part.width),
            min(2 * (source[3] - around[1]), part.height),
        )
        shown = part.resize((right - left, bottom - top), Image.Resampling.LANCZOS, box=inner)
        large.paste(shown, (left, top))
    return large


def _box(size: tuple[int, int], width: int, height: int) -> Box:
    """The largest box around the centre of an image with the aspect of width x height."""
    share = min(size[0] / width, size[1] / height)
    left, top = (size[0] - share * width) / 2, (size[1] - share * height) / 2
    return left, top, left + share * width, top + share * height


def _with_context(source: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels that a window needs, as a box."""
    left, top = (max(0, math.floor(edge) - CONTEXT) // _STEP * _STEP for edge in source[:2])
    right, bottom = (
        min(side, math.ceil(edge) + CONTEXT) for edge, side in zip(source[2:], size, strict=True)
    )
    return left, top, right, bottom


def _windows(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right, bottom of windows of about equal size that cover a size."""
    columns, rows = (
        [side * number // count for number in range(count + 1)]
        for side, count in ((side, math.ceil(side / WINDOW)) for side in size)
    )
    for (top, bottom), (left, right) in product(pairwise(rows), pairwise(columns)):
        yield left, top, right, bottom
