"""The file formats of finished pictures: the one list of what a job can store, and the encoder."""

import io
import zlib
from dataclasses import dataclass
from typing import Literal

from PIL import Image
from PIL.PngImagePlugin import PngInfo

PictureFormat = Literal["png", "jpg", "webp"]
JPEG_QUALITY = 95
"""Of JPEG and WebP files, if a request names none."""

_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_UNICODE, _UNDEFINED = b"UNICODE\0", bytes(8)


@dataclass(frozen=True)
class OutputFormat:
    """What is known of a format.

    Attributes:
        pillow: Pillow's name of it.
        media_type: such as `image/png`.
        lossy: whether it has a quality; its infotext is then in EXIF data.
        bytes_per_pixel: of pure noise, which cannot be compressed, at most.
        max_side: the most pixels that a side can have.
        max_exif: the most bytes of EXIF data.
    """

    pillow: str
    media_type: str
    lossy: bool
    bytes_per_pixel: float
    max_side: int
    max_exif: int = 2**31 - 1

    @property
    def subtype(self) -> str:
        """The name that other programs use for the format, such as `jpeg`."""
        return self.media_type.removeprefix("image/")


OUTPUT_FORMATS: dict[PictureFormat, OutputFormat] = {
    "png": OutputFormat("PNG", "image/png", False, 3.1, 2**31 - 1),
    "jpg": OutputFormat("JPEG", "image/jpeg", True, 2.1, 65_500, max_exif=65_533),
    "webp": OutputFormat("WEBP", "image/webp", True, 1.4, 16_383),
}
"""By the name that requests use, which is the extension of the files as well."""
MEDIA_TYPES: dict[str, str] = {name: row.media_type for name, row in OUTPUT_FORMATS.items()}
BY_SUBTYPE: dict[str, PictureFormat] = {row.subtype: name for name, row in OUTPUT_FORMATS.items()}


def encode(
    image: Image.Image, picture_format: PictureFormat, text: str, quality: int = JPEG_QUALITY
) -> bytes:
    """The file of an RGB image.

    PNG uses zlib's run-length strategy: generated images contain no repetitions, for which Pillow's
    default searches three times as long without a smaller file.

    Args:
        image: no side is longer than the format's `max_side`.
        picture_format: a key of OUTPUT_FORMATS.
        text: the infotext: in a PNG under the key `parameters` (tEXt or iTXt), else EXIF's
            UserComment, as AUTOMATIC1111 writes it. Empty: none. What is too long for a JPEG is
            written as UTF-8, in half the space; what is too long even so is left out.
        quality: of a lossy format, 1 to 100.
    """
    row, out = OUTPUT_FORMATS[picture_format], io.BytesIO()
    if row.lossy:
        image.save(out, row.pillow, quality=quality, exif=_exif(text, row.max_exif))
    else:
        info = PngInfo()
        if text:
            info.add_text("parameters", text)
        image.save(out, row.pillow, pnginfo=info, compress_type=zlib.Z_RLE)
    return out.getvalue()


def _exif(text: str, most: int) -> bytes:
    """EXIF data of at most so many bytes, with the text; empty for none."""
    if not text:
        return b""
    for comment in (_UNICODE + text.encode("utf-16-be"), _UNDEFINED + text.encode()):
        exif = Image.Exif()
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = comment
        if len(data := exif.tobytes()) <= most:
            return data
    return b""
