"""Image files with the infotext inside, and the grid of several images."""

import io
import math
import zlib
from collections.abc import Sequence

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.parameter_types import JPEG_QUALITY, PictureFormat

_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286


def encode(
    image: Image.Image, picture_format: PictureFormat, text: str, quality: int = JPEG_QUALITY
) -> bytes:
    """The file of an RGB image.

    PNG uses zlib's run-length strategy: generated images contain no repetitions, for which Pillow's
    default searches three times as long without a smaller file.

    Args:
        image: any size.
        picture_format: `png` (tEXt or iTXt key `parameters`) or `jpg` (EXIF UserComment).
        text: the infotext.
        quality: of a JPEG, 1 to 100.
    """
    out = io.BytesIO()
    if picture_format == "png":
        info = PngInfo()
        info.add_text("parameters", text)
        image.save(out, "PNG", pnginfo=info, compress_type=zlib.Z_RLE)
    else:
        exif = Image.Exif()
        exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = b"UNICODE\0" + text.encode("utf-16-be")
        image.save(out, "JPEG", quality=quality, exif=exif)
    return out.getvalue()


def grid(images: Sequence[Image.Image], rows: int) -> Image.Image:
    """All images in one, from left to right and top to bottom, in `rows` rows (at least one).

    All images have the same size; unused cells stay black.
    """
    rows = min(rows, len(images))
    columns = math.ceil(len(images) / rows)
    width, height = images[0].size
    sheet = Image.new("RGB", (columns * width, rows * height))
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        sheet.paste(image, (column * width, row * height))
    return sheet
