"""The parameters of a request: the service's names, and short names for common ones."""

import base64
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypedDict

from sd_client.errors import BadArgument
from sd_client.fields import ImageFields, TextFields, UpscaleFields

FORMATS = "PNG, JPEG, WebP, GIF, AVIF, TIFF, BMP or HEIC"
"""What the service reads."""
PictureFormat = Literal["png", "jpg", "webp"]
"""What it writes."""
Image = str | PathLike[str] | bytes | BinaryIO
"""An image or a mask: a path, the bytes of a file in one of FORMATS, or a file open for reading."""


class ShortNames(TypedDict, total=False):
    """Of the parameters of generate and img2img."""

    negative: str
    steps: int
    count: int
    height: int
    width: int
    size: str | tuple[int, int]
    model: str


class Parameters(TextFields, ShortNames, total=False):
    """The parameters besides the prompt; the service documents them at `GET /docs`."""


class ImageParameters(ImageFields, ShortNames, total=False):
    """The parameters of img2img."""

    mask: Image | None
    strength: float


class UpscaleParameters(UpscaleFields, total=False):
    """The parameters of upscale besides the picture."""

    by: float


SHORT_NAMES = {
    "negative": "negative_prompt",
    "steps": "ddim_steps",
    "count": "n_iter",
    "height": "H",
    "width": "W",
    "model": "ckpt",
    "strength": "denoising_strength",
    "by": "upscale_by",
    "from_file": "from-file",
}
"""Short name → the service's name."""
RESERVED = {
    "synchronous_request": "this client waits for the job itself",
    "return_base64": "this client fetches the pictures as files",
    "init_img": "give the picture as `image` to img2img or upscale",
    "api_key": "give it to Client(api_key=...), or set SD_API_KEY",
}
"""Parameters that callers cannot set → the reason, or what to do instead."""


def body_of(prompt: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON body of a request.

    Unknown parameters stay in the body: the service's answer suggests the right name.

    Raises:
        BadArgument: a parameter of `RESERVED`, an invalid size, or a parameter given twice.
    """
    body: dict[str, Any] = {"prompt": prompt} if prompt else {}
    for name, value in parameters.items():
        if name in RESERVED:
            raise BadArgument(f"{name} cannot be set: {RESERVED[name]}")
        fields = _sides(value) if name == "size" else {SHORT_NAMES.get(name, name): value}
        for field, content in fields.items():
            if field in body:
                raise BadArgument(f"{name} sets {field} a second time: leave one of them out")
            body[field] = content
    return body


def encode_image(image: Image) -> str:
    """An image file as base64. Raises BadArgument if it cannot be read or is empty."""
    try:
        match image:
            case bytes():
                data = image
            case str() | PathLike():
                data = Path(image).read_bytes()
            case _:
                data = image.read()
    except OSError as error:
        raise BadArgument(f"the picture {image} cannot be read: {error.strerror}") from error
    if not data:
        raise BadArgument(f"the picture is empty: give a {FORMATS}")
    return base64.b64encode(data).decode()


def _sides(size: object) -> dict[str, int]:
    """W and H of `512x768` or (512, 768), in pixels."""
    sides = size.lower().replace("×", "x").split("x") if isinstance(size, str) else size
    try:
        width, height = (int(side) for side in sides)  # pyright: ignore[reportGeneralTypeIssues]
    except (TypeError, ValueError) as error:
        expected = "width x height in pixels, such as 512x768"
        raise BadArgument(f"size is {size!r}; expected {expected}") from error
    return {"W": width, "H": height}
