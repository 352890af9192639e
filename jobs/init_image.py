"""Decoding of init images from hostile input: base64 text to an upright RGB PNG."""

import binascii
import io
import re
import warnings

import pybase64
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic_core import PydanticCustomError

from jobs.decoding import decoding

# The common formats only: Pillow's past vulnerabilities were mostly in its rare ones.
FORMATS = ("PNG", "JPEG", "WEBP")
# The PNG chunks in which Pillow looks for the EXIF orientation, before or after the pixels.
_ORIENTATION_CHUNKS = (
    b"eXIf",
    *(
        kind + name
        for kind in (b"tEXt", b"zTXt", b"iTXt")
        for name in (b"exif\0", b"Raw profile type", b"XML:com.adobe.xmp")
    ),
)
_DATA_URL = re.compile(r"\Adata:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)


def read_init_image(text: str, max_pixels: int) -> bytes:
    """Decode a base64 picture (a `data:` prefix is accepted) and return it as an RGB PNG.

    The size is read from the header and checked before any pixel is decoded. The result is the
    first frame of an animation, turned by its EXIF orientation, with white behind transparent
    pixels. A PNG that needs none of this is returned unchanged; only its checksums are verified.

    Raises:
        PydanticCustomError: codes not_base64, not_an_image, image_damaged, too_many_pixels.
    """
    try:
        data = pybase64.b64decode(_DATA_URL.sub("", text, count=1), validate=True)
    except (binascii.Error, ValueError):
        raise PydanticCustomError("not_base64", "is not base64 text") from None
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise _too_many_pixels(max_pixels) from None
        except UnidentifiedImageError:
            raise PydanticCustomError("not_an_image", "is not a PNG, JPEG or WebP image") from None
        except Exception:  # noqa: BLE001 - whatever a decoder raises on hostile bytes
            raise _damaged() from None
    if image.width * image.height > max_pixels:
        raise _too_many_pixels(max_pixels)
    try:
        if _is_plain(image, data):
            image.verify()  # its checksums; decoding takes twenty times as long
            return data
        with decoding.room(image.width * image.height):
            return _upright_rgb_png(image)
    except Exception:  # noqa: BLE001 - whatever a decoder raises on hostile bytes
        raise _damaged() from None


def _upright_rgb_png(image: Image.Image) -> bytes:
    ImageOps.exif_transpose(image, in_place=True)
    out = io.BytesIO()
    _rgb(image).save(out, "PNG", compress_level=1)
    return out.getvalue()


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
    at = len(b"\x89PNG\r\n\x1a\n")
    while at < len(png):
        if png.startswith(_ORIENTATION_CHUNKS, at + 4):
            return True
        at += int.from_bytes(png[at : at + 4]) + 12
    return False


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


def _too_many_pixels(max_pixels: int) -> PydanticCustomError:
    return PydanticCustomError(
        "too_many_pixels", "has more than {max_pixels} pixels", {"max_pixels": max_pixels}
    )


def _damaged() -> PydanticCustomError:
    return PydanticCustomError("image_damaged", "is a damaged or truncated image")
