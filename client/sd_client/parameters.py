"""The parameters of a request: the service's own words, and shorter ones for the common ones."""

import base64
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypedDict

from sd_client.errors import BadArgument

Image = str | PathLike[str] | bytes | BinaryIO
"""A picture to begin with: a path, the bytes of a PNG, JPEG or WebP, or a file opened to read."""


class Parameters(TypedDict, total=False):
    """What a request may say beside its prompt. The service says what each means: `GET /docs`."""

    type: Literal["standard", "optimized"]
    negative_prompt: str
    outdir: str
    skip_grid: bool
    skip_save: bool
    ddim_steps: int
    fixed_code: bool
    ddim_eta: float
    n_iter: int
    H: int
    W: int
    C: int
    f: int
    n_samples: int
    n_rows: int
    scale: float
    device: str | None
    from_file: str | bool | None
    config: str | None
    ckpt: str | dict[str, str]
    seed: int | Literal[False] | None
    unet_bs: int
    turbo: bool
    deterministic: bool
    format: Literal["png", "jpg"]
    sampler: str
    precision: Literal["mixed", "full", "autocast"]
    priority: int
    webhook: str | None
    plms: bool
    laion400m: bool
    # The shorter words.
    negative: str
    steps: int
    eta: float
    count: int
    height: int
    width: int
    size: str | tuple[int, int]
    model: str


class ImageParameters(Parameters, total=False):
    """The same of a request that begins with a picture."""

    denoising_strength: float
    noise_multiplier: float
    upscale: bool
    post_upscale: bool
    strength: float


SHORTER = {
    "negative": "negative_prompt",
    "steps": "ddim_steps",
    "eta": "ddim_eta",
    "count": "n_iter",
    "height": "H",
    "width": "W",
    "model": "ckpt",
    "strength": "denoising_strength",
    "from_file": "from-file",
}
"""Our word, and the service's."""
OURS = {
    "synchronous_request": "this client waits by itself",
    "return_base64": "pictures are fetched as files",
    "init_img": "give the picture as `image` to img2img",
    "api_key": "give it to Client(api_key=...), or set SD_API_KEY",
}
"""What a caller cannot set, and what to do instead."""


def body_of(prompt: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON of a request.

    What the service does not know goes through to it: it answers with what was meant.

    Raises:
        BadArgument: one of `OURS`, a size that is none, or one thing said twice.
    """
    body: dict[str, Any] = {"prompt": prompt} if prompt else {}
    for name, value in parameters.items():
        if name in OURS:
            raise BadArgument(f"{name} cannot be set: {OURS[name]}")
        said = _sides(value) if name == "size" else {SHORTER.get(name, name): value}
        for key, one in said.items():
            if key in body:
                raise BadArgument(f"{name} says {key} a second time: leave one of them out")
            body[key] = one
    return body


def encoded(image: Image) -> str:
    """A picture as base64. Raises BadArgument if it cannot be read."""
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
        raise BadArgument("the picture is empty: give a PNG, JPEG or WebP")
    return base64.b64encode(data).decode()


def _sides(size: object) -> dict[str, int]:
    """W and H of `512x768` or (512, 768)."""
    sides = size.lower().replace("×", "x").split("x") if isinstance(size, str) else size
    try:
        width, height = (int(side) for side in sides)  # pyright: ignore[reportGeneralTypeIssues]
    except (TypeError, ValueError) as error:
        wanted = "width x height in pixels, such as 512x768"
        raise BadArgument(f"size is {size!r}; it is {wanted}") from error
    return {"W": width, "H": height}
