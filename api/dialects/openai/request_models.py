"""The bodies of this dialect: OpenAI's fields, and the service's own fields by their names.

Source of OpenAI's: the types of its Python SDK, version 3.57.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic_core import PydanticCustomError

from jobs.limits import MAX_OUTPUT_SIDE, MIN_SIDE
from jobs.names import JobKind, JobType
from jobs.parameters.schemas import SCHEMAS, TYPE_MEANS
from jobs.parameters.types import WHOLE, Count, Seed, Steps, Strength, Text

SIZE_EXPECTED = (
    f"auto, or width x height in pixels, such as 768x512, each from {MIN_SIDE} up to "
    f"{MAX_OUTPUT_SIDE}"
)
DEFAULT_STRENGTH = 0.75
MAX_IMAGES = 16
_SIZE = re.compile(r"(\d{1,5})[xX](\d{1,5})")

NATIVE_NAMES: Mapping[str, str] = {
    "ckpt": "model",
    "n_iter": "n",
    "ddim_steps": "steps",
    "scale": "guidance_scale",
    "denoising_strength": "strength",
    "format": "output_format",
    "jpeg_quality": "output_compression",
    "W": "size",
    "H": "size",
    "output_width": "size",
    "output_height": "size",
    "init_img": "image",
}
"""Fields of the service → their names in this dialect."""
WITHOUT_NAME = frozenset(
    {
        *("synchronous_request", "return_base64", "skip_save", "skip_grid", "n_rows"),
        *("from-file", "laion400m"),
    }
)
"""Fields of the service that decide what its own API answers, or do nothing."""
MASK = "mask"
"""It is opaque where the image is kept; that of the service where it is generated anew."""


def size_of(text: str) -> tuple[int, int] | None:
    """Width and height in pixels; None for `auto`. Raises PydanticCustomError."""
    if text == "auto":
        return None
    written = _SIZE.fullmatch(text)
    if not written:
        raise PydanticCustomError("not_a_size", "is not a size")
    sides = int(written[1]), int(written[2])
    if min(sides) < MIN_SIDE or max(sides) > MAX_OUTPUT_SIDE:
        raise PydanticCustomError("range", "is out of range")
    return sides


def _size(text: str) -> str:
    size_of(text)
    return text


class ImageOptions(BaseModel):
    """OpenAI's fields, those of both routes."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    prompt: Annotated[Text, Field(description="what to generate")]
    model: Annotated[
        str,
        Field(
            max_length=200,
            description="an id of `GET /v1/models`; names of OpenAI's models, and other texts, "
            "mean the default model",
        ),
    ] = "default"
    n: Annotated[Count, Field(description="how many images")] = 1
    size: Annotated[
        str,
        AfterValidator(_size),
        Field(
            description=SIZE_EXPECTED, json_schema_extra={"pattern": rf"^(auto|{_SIZE.pattern})$"}
        ),
    ] = "auto"
    response_format: Annotated[
        Literal["b64_json", "url"], Field(description="images in the answer, or their addresses")
    ] = "b64_json"
    output_format: Annotated[
        Literal["png", "jpeg", "webp"], Field(description="file format of the images")
    ] = "png"
    output_compression: Annotated[
        int | None,
        Field(ge=0, le=100, description="the quality of JPEG and WebP; 0 means 1"),
        WHOLE,
    ] = None
    background: Annotated[
        Literal["auto", "opaque", "transparent"], Field(description="it is always opaque")
    ] = "auto"
    quality: Annotated[
        Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"],
        Field(description="how many sampling steps, unless `steps` is sent"),
    ] = "auto"
    stream: Annotated[bool, Field(description="answer with Server-Sent Events")] = False
    partial_images: Annotated[
        int, Field(ge=0, le=3, description="of a stream: previews of each image"), WHOLE
    ] = 0
    user: Annotated[
        str, Field(max_length=512, description="whose turn it is among the jobs of one key")
    ] = ""
    safety_identifier: Annotated[
        str, Field(max_length=512, description="the same; it replaces `user`")
    ] = ""
    style: Annotated[Literal["vivid", "natural"], Field(description="without effect")] = "vivid"
    moderation: Annotated[Literal["auto", "low"], Field(description="without effect")] = "auto"
    complexity: Annotated[
        Literal["low", "medium", "high"] | None, Field(description="without effect")
    ] = None
    frame_count: Annotated[int | None, Field(description="without effect"), WHOLE] = None
    frame_duration_ms: Annotated[int | None, Field(description="without effect"), WHOLE] = None
    svg: Annotated[dict[str, Any] | None, Field(description="without effect")] = None
    seed: Annotated[Seed, Field(description="of the first image; by default a random one")] = None
    type: Annotated[JobType | None, Field(description=TYPE_MEANS)] = None
    steps: Annotated[Steps | None, Field(description="sampling steps of an image")] = None
    guidance_scale: Annotated[
        float,
        Field(ge=-100, le=100, allow_inf_nan=False, description="classifier-free guidance scale"),
    ] = 7.5


class ImageReference(BaseModel):
    """An image in a JSON body."""

    image_url: Annotated[str, Field(description="a `data:` URL with base64; nothing is fetched")]


class EditOptions(ImageOptions):
    """OpenAI's fields for an edit, without the images."""

    strength: Annotated[
        Strength,
        Field(description="how much of the image is generated anew; see `input_fidelity`"),
    ] = DEFAULT_STRENGTH
    input_fidelity: Annotated[
        Literal["low", "high"], Field(description="`high` means a strength of 0.5")
    ] = "low"


class EditImages(BaseModel):
    """The images of an edit in a JSON body."""

    images: Annotated[
        list[ImageReference] | None,
        Field(min_length=1, max_length=MAX_IMAGES, description="the first one is edited"),
    ] = None
    image: Annotated[
        str | list[str] | None, Field(description="in place of `images`: base64, or a list of it")
    ] = None
    mask: Annotated[
        ImageReference | str | None,
        Field(description="an image whose transparent part is generated anew"),
    ] = None
    markup: Annotated[ImageReference | str | None, Field(description="without effect")] = None


def _own_fields(kind: JobKind) -> dict[str, Any]:
    """The service's fields that keep their names, for `create_model`."""
    left_out = NATIVE_NAMES.keys() | WITHOUT_NAME | {MASK}
    return {
        name: (info.annotation, info)
        for schema in SCHEMAS[kind].values()
        for name, info in schema.model_fields.items()
        if (info.alias or name) not in left_out and name not in ImageOptions.model_fields
    }


OPTIONS: Mapping[JobKind, type[ImageOptions]] = {
    "txt2img": create_model("GenerateImage", __base__=ImageOptions, **_own_fields("txt2img")),
    "img2img": create_model("EditImage", __base__=EditOptions, **_own_fields("img2img")),
}
"""By kind: what a body may contain, besides the images."""
