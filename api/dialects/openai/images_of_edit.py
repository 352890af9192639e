"""The images of an edit: from a form or from JSON."""

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pybase64
from PIL import Image

from api.dialects.openai.request_models import MAX_IMAGES
from jobs.errors import Fault
from jobs.pictures.base64_text import decode_base64
from jobs.pictures.picture_formats import IN_WORDS, PILLOW_NAMES

IMAGE_NAMES = ("image", "image[]", "images", "images[]")
"""The parts of a form, and the fields of a JSON body, that are images to edit."""
_ORIENTATION = 0x0112
_EXPECTED = f"base64 of a {IN_WORDS} image, or a data: URL of it; in a form the file itself"


@dataclass(frozen=True)
class Picture:
    """An image as base64, and the name of the field that it came in."""

    field: str
    text: str

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the upright image; None if its header cannot be read."""
        return self._header[0] if self._header else None

    @property
    def has_transparency(self) -> bool | None:
        """Whether a part of it may be transparent; None if its header cannot be read."""
        return self._header[1] if self._header else None

    @cached_property
    def _header(self) -> tuple[tuple[int, int], bool] | None:
        """Of the two. What is wrong with the image is reported when the request is validated."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(decode_base64(self.text)), formats=PILLOW_NAMES)
                turned = image.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
        except Exception:  # noqa: BLE001 - whatever a decoder raises on hostile bytes
            return None
        size = (image.height, image.width) if turned else image.size
        return size, image.has_transparency_data


@dataclass(frozen=True)
class EditedImages:
    """What an edit starts from.

    Attributes:
        images: the first one is edited.
        mask: its transparent part is generated anew.
        markup: None unless it was sent.
        faults: of these fields.
    """

    images: tuple[Picture, ...] = ()
    mask: Picture | None = None
    markup: Picture | None = None
    faults: tuple[Fault, ...] = ()


def take_images(sent: dict[str, Any]) -> EditedImages:
    """Remove the images from a body, and read them. An edit without an image has a fault.

    Args:
        sent: the fields of JSON, or those of a form; each value may be a file or a list of values.
    """
    faults: list[Fault] = []
    images = [
        picture
        for name in IMAGE_NAMES
        for value in _listed(sent.pop(name, None))
        if (picture := _read(name, value, faults))
    ]
    if not images and not faults:
        faults.append(_fault("image", "missing", "is missing"))
    if len(images) > MAX_IMAGES:
        faults.append(_fault(images[0].field, "too_many", f"are more than {MAX_IMAGES}"))
    mask, markup = (
        _read(name, value, faults) if (value := sent.pop(name, None)) is not None else None
        for name in ("mask", "markup")
    )
    return EditedImages(tuple(images), mask, markup, tuple(faults))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _read(name: str, value: Any, faults: list[Fault]) -> Picture | None:
    match value:
        case bytes():
            return Picture(name, pybase64.b64encode(value).decode())
        case str():
            return Picture(name, value)
        case {"image_url": str(text)} if len(value) == 1:
            return Picture(f"{name}.image_url", text)
        case Mapping() if "file_id" in value:
            faults.append(_fault(f"{name}.file_id", "file_id", "is not read: there are no files"))
        case _:
            faults.append(_fault(name, "type", "is no image"))
    return None


def _fault(field: str, code: str, problem: str) -> Fault:
    return Fault(field=field, code=code, value=None, problem=problem, expected=_EXPECTED)
