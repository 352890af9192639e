"""Brings the picture of img2img to the size of the result, as `resize_mode` says.

It is done here, on the checked picture and within the bounds of `jobs.pictures.decoding`, so that
the engine knows one way only: it crops what has another aspect.
"""

import base64
import io
from collections.abc import Callable

from PIL import Image, ImageOps
from pydantic_core import PydanticCustomError

from jobs.errors import Fault, InvalidRequest
from jobs.pictures.decoding import decoding

STRETCH, CROP, FILL, LATENT = range(4)
_LANCZOS = Image.Resampling.LANCZOS


def read_picture(
    text: str, read: Callable[[str, int], bytes], max_pixels: int, field: str
) -> bytes:
    """The PNG of a picture that a client sent.

    Args:
        text: base64 or a data URL.
        read: of `jobs.pictures.inputs`, for its role.
        max_pixels: the most that it may have.
        field: its name in errors.

    Raises:
        InvalidRequest: it is no picture, damaged or too large.
    """
    try:
        return read(text, max_pixels)
    except PydanticCustomError as error:
        fault = Fault(
            field=field,
            code=error.type,
            value=None,
            problem=error.message(),
            expected="a picture as base64 or as a data URL",
        )
        raise InvalidRequest((fault,)) from None


def picture_size(png: bytes) -> tuple[int, int]:
    """Width and height of what `read_picture` returned."""
    return Image.open(io.BytesIO(png)).size


def sized_picture(text: str, png: bytes, mode: int, size: tuple[int, int]) -> str:
    """A picture as base64, for a native request of this size.

    Args:
        text: as the client sent it.
        png: what `read_picture` made of it.
        mode: of `resize_mode`.
        size: width and height of the result.
    """
    image = Image.open(io.BytesIO(png))
    if mode == CROP or image.width * size[1] == image.height * size[0]:
        return text
    with decoding.room(image.width * image.height):
        sized = _filled(image, size) if mode == FILL else image.resize(size, _LANCZOS)
    out = io.BytesIO()
    sized.save(out, "PNG", compress_level=1)
    return base64.b64encode(out.getvalue()).decode()


def _filled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The whole picture in the middle; the borders repeat its outermost pixels."""
    inner = ImageOps.contain(image, size, _LANCZOS)
    left, top = (size[0] - inner.width) // 2, (size[1] - inner.height) // 2
    right, bottom = left + inner.width, top + inner.height
    filled = Image.new(image.mode, size)
    filled.paste(inner, (left, top))
    borders = (
        ((0, top, left, bottom), (left, top, left + 1, bottom)),
        ((right, top, size[0], bottom), (right - 1, top, right, bottom)),
        ((0, 0, size[0], top), (0, top, size[0], top + 1)),
        ((0, bottom, size[0], size[1]), (0, bottom - 1, size[0], bottom)),
    )
    for border, edge in borders:
        width, height = border[2] - border[0], border[3] - border[1]
        if width > 0 and height > 0:
            filled.paste(filled.crop(edge).resize((width, height)), border[:2])
    return filled
