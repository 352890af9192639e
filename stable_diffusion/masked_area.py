"""The part of a picture around a mask, generated at a size of its own.

Sources: AUTOMATIC1111's `modules/masking.py`, and its "inpaint area: only masked".
"""

from dataclasses import dataclass
from typing import Self

import numpy
from PIL import Image

from stable_diffusion.masks import resized_mask

_Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are outside."""


@dataclass(frozen=True)
class MaskedArea:
    """A part of a picture, and where it lies in the generated one.

    Attributes:
        box: the part of the picture.
        size: width and height of what is generated, in pixels.
        window: where the part lies in what is generated. It is smaller than that if the picture is
            too small for a part of that aspect; the rest repeats the pixels at its edges.
    """

    box: _Box
    size: tuple[int, int]
    window: _Box

    @classmethod
    def around(cls, mask: Image.Image, padding: int, size: tuple[int, int]) -> Self:
        """The smallest part with the aspect of `size` that holds all of a mask but its zeros.

        Args:
            mask: of the picture. If it is 0 everywhere, the part is the whole.
            padding: pixels that are added on each side, as far as the picture goes.
        """
        (width, height), (across, down) = mask.size, size
        left, top, right, bottom = mask.getbbox() or (0, 0, width, height)
        left, right = max(0, left - padding), min(width, right + padding)
        top, bottom = max(0, top - padding), min(height, bottom + padding)
        window = (0, 0, across, down)
        if (right - left) * down > (bottom - top) * across:
            length = -(-(right - left) * down // across)
            top, bottom = _widened(top, bottom, length, height)
            if length > height:
                start, end = _middle(height * across / (right - left), down)
                window = (0, start, across, end)
        else:
            length = -(-(bottom - top) * across // down)
            left, right = _widened(left, right, length, width)
            if length > width:
                start, end = _middle(width * down / (bottom - top), across)
                window = (start, 0, end, down)
        return cls((left, top, right, bottom), size, window)

    def image(self, picture: Image.Image) -> Image.Image:
        """The part of an RGB picture, of `size`."""
        part = picture.resize(_size(self.window), Image.Resampling.LANCZOS, self.box)
        left, top, right, bottom = self.window
        around = (top, self.size[1] - bottom), (left, self.size[0] - right), (0, 0)
        return Image.fromarray(numpy.pad(numpy.asarray(part), around, "edge"))

    def mask(self, mask: Image.Image) -> Image.Image:
        """The part of a mask, of `size`, black where the picture does not reach."""
        part = Image.new("L", self.size)
        part.paste(resized_mask(mask.crop(self.box), _size(self.window)), self.window[:2])
        return part

    def put_back(self, generated: Image.Image, picture: Image.Image, scale: float) -> Image.Image:
        """A picture with what was generated in its place.

        Args:
            generated: of any scale.
            picture: larger than the one that the part was taken from by the factor `scale`.
        """
        left, top, right, bottom = (round(scale * edge) for edge in self.box)
        place = max(1, right - left), max(1, bottom - top)
        share = generated.width / self.size[0], generated.height / self.size[1]
        x0, y0, x1, y1 = (edge * share[index % 2] for index, edge in enumerate(self.window))
        result = picture.copy()
        result.paste(
            generated.resize(place, Image.Resampling.LANCZOS, (x0, y0, x1, y1)), (left, top)
        )
        return result


def _widened(start: int, end: int, length: int, limit: int) -> tuple[int, int]:
    """A range of `length` around another, moved and cut so that it is between 0 and the limit."""
    length = min(length, limit)
    start = min(max(0, start - (length - (end - start)) // 2), limit - length)
    return start, start + length


def _middle(length: float, limit: int) -> tuple[int, int]:
    """The range in the middle of 0..limit with about that length."""
    whole = min(limit, max(1, round(length)))
    start = (limit - whole) // 2
    return start, start + whole


def _size(box: _Box) -> tuple[int, int]:
    return box[2] - box[0], box[3] - box[1]
