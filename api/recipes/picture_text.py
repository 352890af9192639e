"""The texts that programs store in picture files, read without decoding a pixel."""

import io
import re
import warnings
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError
from pydantic_core import PydanticCustomError

from jobs.errors import Fault, InvalidRequest
from jobs.pictures.base64_text import decode_base64
from jobs.pictures.picture_formats import IN_WORDS, PILLOW_NAMES, name_of_other
from jobs.pictures.tiff_directories import bound_directories

bound_directories()
MAX_TEXT = 1 << 22
"""Characters of all texts of a picture together."""
_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_CODE_LENGTH = 8
_INFOTEXT = "parameters"
_STEPS = "Steps: "
_NAMED_TEXT_TAGS = (0x010F, 0x0110)
_NAMED_TEXT = re.compile(r"(prompt|workflow):.*", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class PictureText:
    """The texts of one picture.

    Attributes:
        infotext: what it was made of, as A1111 writes it; empty if there is none.
        items: all other texts by name.
        size: width and height in pixels.
    """

    infotext: str
    items: dict[str, str]
    size: tuple[int, int]


def picture_text_of(encoded: str, field: str = "image") -> PictureText:
    """The same as `read_picture_text`. Raises InvalidRequest, which names the field."""
    try:
        return read_picture_text(encoded)
    except PydanticCustomError as error:
        fault = Fault(
            field=field,
            code=error.type,
            value=None,
            problem=error.message(),
            expected=f"base64 of a {IN_WORDS} picture",
        )
        raise InvalidRequest((fault,)) from None


def read_picture_text(encoded: str) -> PictureText:
    """The texts of a picture in base64, a `data:` URL or not.

    The infotext is a PNG's text `parameters`, else the UserComment of its EXIF data, else a GIF's
    comment.

    Raises:
        PydanticCustomError: codes not_base64, not_an_image, image_damaged, too_long.
    """
    data = decode_base64(encoded)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=PILLOW_NAMES)
            texts = {
                str(name): _text(value)
                for name, value in image.info.items()
                if isinstance(value, str) or (name == "comment" and image.format == "GIF")
            }
            exif = _exif(image)
            comment = _user_comment(exif)
            texts |= _named_texts(exif)
        except UnidentifiedImageError:
            kind = name_of_other(data)
            problem = f"is {kind}" if kind else f"is not a {IN_WORDS} picture"
            raise PydanticCustomError("not_an_image", "{problem}", {"problem": problem}) from None
        except Exception:  # noqa: BLE001 - whatever a decoder raises on hostile bytes
            raise PydanticCustomError("image_damaged", "is damaged, or too large") from None
    if sum(map(len, texts.values())) + len(comment) > MAX_TEXT:
        raise PydanticCustomError(
            "too_long", "has more than {most} characters of text", {"most": MAX_TEXT}
        )
    infotext = texts.pop(_INFOTEXT, "") or comment or texts.pop("comment", "")
    return PictureText(infotext, texts, image.size)


def _exif(image: Image.Image) -> Image.Exif:
    """EXIF data. A PNG's own method decodes the pixels, to find what comes after them."""
    return Image.Image.getexif(image)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _named_texts(exif: Image.Exif) -> dict[str, str]:
    """What ComfyUI writes into the tags of a WebP: `prompt:{…}` and `workflow:{…}`."""
    values = [exif.get(tag) for tag in _NAMED_TEXT_TAGS]
    found = [_NAMED_TEXT.match(value) for value in values if isinstance(value, str)]
    return {match[1]: match[0][len(match[1]) + 1 :] for match in found if match}


def _user_comment(exif: Image.Exif) -> str:
    """EXIF's UserComment: eight bytes name its code, the text follows."""
    value = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT, b"")
    if isinstance(value, str):
        return value
    code, text = bytes(value[:_CODE_LENGTH]), bytes(value[_CODE_LENGTH:])
    if code.startswith(b"UNICODE"):
        # EXIF says: in the byte order of the file; most programs write big-endian. Of 一 and many
        # emoji it is the other byte that is 0, so what every infotext has decides, if it is there.
        big, little = (text.decode(f"utf-16-{order}", "replace") for order in ("be", "le"))
        if _STEPS in big:
            return big
        return little if text[1::2].count(0) > text[::2].count(0) else big
    return text.decode("utf-8", "replace").rstrip("\0")
