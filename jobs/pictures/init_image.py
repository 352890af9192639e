"""Decoding of init images and masks from hostile input: base64 text to an upright PNG."""

import io
import math
import warnings
from collections.abc import Callable

from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic_core import PydanticCustomError

from jobs.pictures.base64_text import decode_base64
from jobs.pictures.decoding import MAX_PIXELS, decoding
from jobs.pictures.picture_formats import IN_WORDS, PILLOW_NAMES, begins_as_one, name_of_other
from jobs.pictures.png_text import ORIENTATION_CHUNKS, chunks_of, is_png, without_text
from jobs.pictures.tiff_directories import bound_directories

bound_directories()
_TILE_SIDES = (322, 323)
"""The tags of a TIFF with the sides of its tiles; libtiff decodes a tile at once."""


def read_init_image(text: str, max_pixels: int) -> bytes:
    """Decode a base64 picture (a `data:` prefix is accepted) and return it as an RGB PNG.

    The size is read from the header and checked before any pixel is decoded. The result is the
    first frame of an animation or page of a TIFF, turned by its orientation, with white behind
    transparent pixels. A PNG that needs none of this is returned unchanged, apart from its text;
    only its checksums are verified.

    Raises:
        PydanticCustomError: codes not_base64, not_an_image, image_damaged, too_many_pixels.
    """
    return _read(text, max_pixels, _rgb, is_ready=_is_plain)


def read_transparent_image(text: str, max_pixels: int) -> bytes:
    """The same as an RGBA PNG: transparent pixels keep their colours.

    Raises:
        PydanticCustomError: as `read_init_image`, and no_transparency.
    """
    return _read(text, max_pixels, _rgba)


def read_mask(text: str, max_pixels: int) -> bytes:
    """Decode a base64 picture and return it as a grey PNG.

    Of a picture with transparency its opacity is taken, as in AUTOMATIC1111: what was painted on an
    empty layer.

    Raises:
        PydanticCustomError: as `read_init_image`.
    """
    return _read(text, max_pixels, _grey)


def _read(
    text: str,
    max_pixels: int,
    convert: Callable[[Image.Image], Image.Image],
    is_ready: Callable[[Image.Image, bytes], bool] = lambda _image, _data: False,
) -> bytes:
    """Decode a base64 picture and return it as a PNG.

    Args:
        convert: makes of an upright picture the one to store.
        is_ready: whether an opened picture with these bytes can be stored unchanged.
    """
    data = decode_base64(text)
    if is_png(data):
        data = without_text(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=PILLOW_NAMES)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise _too_many_pixels(max_pixels) from None
        except UnidentifiedImageError:
            raise (_damaged() if begins_as_one(data) else _not_an_image(data)) from None
        except Exception:  # noqa: BLE001 - whatever a decoder raises on hostile bytes
            raise _damaged() from None
    if max(image.width * image.height, _tile_pixels(image)) > max_pixels:
        raise _too_many_pixels(max_pixels)
    try:
        if is_ready(image, data):
            image.verify()  # its checksums; decoding takes twenty times as long
            return data
        with decoding.room(_decoded_pixels(image)):
            ImageOps.exif_transpose(image, in_place=True)
            out = io.BytesIO()
            convert(image).save(out, "PNG", compress_level=1)
            return out.getvalue()
    except PydanticCustomError:
        raise
    except Exception:  # noqa: BLE001 - whatever a decoder raises on hostile bytes
        raise _damaged() from None


def _is_plain(image: Image.Image, data: bytes) -> bool:
    """Whether an opened picture is an RGB PNG of one frame without an orientation."""
    return (
        image.format == "PNG"
        and image.mode == "RGB"
        and not image.has_transparency_data
        and not getattr(image, "is_animated", False)
        and not _may_have_orientation(data)
    )


def _may_have_orientation(png: bytes) -> bool:
    """Whether a PNG has a chunk that may contain an orientation."""
    return any(bytes(chunk[4:40]).startswith(ORIENTATION_CHUNKS) for chunk in chunks_of(png))


def _decoded_pixels(image: Image.Image) -> int:
    """How many pixels a decoder may work on."""
    if image.format in ("AVIF", "HEIF"):
        # The stream in the file may have more than the header says: 2 kB took 300 MB.
        return max(MAX_PIXELS, image.width * image.height)
    return image.width * image.height


def _tile_pixels(image: Image.Image) -> int:
    """How many pixels a tile of a TIFF has; 0 if it has none."""
    tags = getattr(image, "tag_v2", {})
    sides = [tags.get(side, 0) for side in _TILE_SIDES]
    return math.prod(side for side in sides if isinstance(side, int))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # 16 bits a pixel; Pillow's own conversion clips at 255 instead of scaling
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.has_transparency_data:
        if image.mode != "RGBA":
            image = image.convert("RGBA")
        background = Image.new("RGB", image.size, "white")
        background.paste(image, mask=image)
        return background
    return image if image.mode == "RGB" else image.convert("RGB")


def _rgba(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        raise PydanticCustomError("no_transparency", "has no transparency for mask_from_alpha")
    return image.convert("RGBA")


def _grey(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        opacity = image.convert("RGBA").getchannel("A")
        if opacity.getextrema() != (255, 255):
            return opacity
    return _rgb(image).convert("L")


def _not_an_image(data: bytes) -> PydanticCustomError:
    other = name_of_other(data)
    problem = f"is {other}" if other else f"is not a {IN_WORDS} image" if data else "is empty"
    return PydanticCustomError("not_an_image", "{problem}", {"problem": problem})


def _too_many_pixels(max_pixels: int) -> PydanticCustomError:
    return PydanticCustomError(
        "too_many_pixels", "has more than {max_pixels} pixels", {"max_pixels": max_pixels}
    )


def _damaged() -> PydanticCustomError:
    return PydanticCustomError("image_damaged", "is a damaged or truncated image")
