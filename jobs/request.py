"""The requests: every parameter of the README, its bounds, its default and what it means.

The attribute names are the README's own. A request is read once, by `parse_request`; from there on
it is frozen, and every field has its final type.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.errors import Fault, InvalidRequest
from jobs.faults import faults_of
from jobs.fields import (
    Batch,
    Checkpoint,
    Config,
    Device,
    Folder,
    InitImage,
    PictureFormat,
    Precision,
    PromptFile,
    Sampler,
    Seed,
    Side,
    Text,
)
from jobs.limits import Limits
from jobs.names import JobKind, JobType
from jobs.rules import RULES, Asked


class GenerationRequest(BaseModel):
    """What both kinds of request share."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)
    kind: ClassVar[JobKind]

    type: Annotated[JobType, Field(description="which way of running a model, and so which queue")]
    prompt: Annotated[Text, Field(description="what to draw: (emphasis), [less], blend:0.5")] = ""
    negative_prompt: Annotated[Text, Field(description="what to keep out of the picture")] = ""
    outdir: Annotated[Folder, Field(description="folder below the output root")] = (
        "outputs/txt2img-samples"
    )
    skip_grid: Annotated[bool, Field(description="false: also one picture of all pictures")] = True
    skip_save: Annotated[bool, Field(description="do not keep the single pictures")] = False
    return_base64: Annotated[
        bool, Field(description="answer with base64 and facts instead of one image's bytes")
    ] = False
    synchronous_request: Annotated[
        bool, Field(description="answer only when the job has ended")
    ] = False
    ddim_steps: Annotated[int, Field(ge=1, le=1000, description="sampling steps a picture")] = 50
    fixed_code: Annotated[bool, Field(description="start every picture from the same noise")] = (
        False
    )
    ddim_eta: Annotated[float, Field(ge=0, le=1, description="DDIM's eta; 0 is deterministic")] = (
        0.0
    )
    n_iter: Annotated[int, Field(ge=1, le=1000, description="batches, one after the other")] = 1
    H: Annotated[Side, Field(description="height in pixels")] = 512
    W: Annotated[Side, Field(description="width in pixels")] = 512
    C: Annotated[Literal[4], Field(description="latent channels; every model has 4")] = 4
    f: Annotated[Literal[8], Field(description="downsampling factor; every model has 8")] = 8
    n_samples: Annotated[int, Field(ge=1, le=1000, description="pictures in one batch")] = 1
    n_rows: Annotated[int, Field(ge=0, le=1000, description="rows of the grid; 0: n_samples")] = 0
    scale: Annotated[
        float,
        Field(ge=-100, le=100, allow_inf_nan=False, description="classifier-free guidance scale"),
    ] = 7.5
    device: Annotated[
        Device | None, Field(description="cpu, cuda or cuda:N; the worker's own when omitted")
    ] = None
    from_file: Annotated[
        PromptFile, Field(alias="from-file", description="take prompts from a file; or false")
    ] = None
    config: Annotated[Config, Field(description="configuration; must fit the model")] = None
    ckpt: Annotated[
        Checkpoint, Field(description="model: a name, `default`, or an object of names")
    ] = "default"
    seed: Annotated[
        Seed, Field(description="seed of the first picture; null or false draws one")
    ] = 42
    unet_bs: Annotated[Batch, Field(description="pictures the network sees at once")] = 1
    turbo: Annotated[bool, Field(description="faster, for more memory")] = True
    format: Annotated[PictureFormat, Field(description="file format of the pictures")] = "png"
    sampler: Annotated[Sampler, Field(description="sampler key or label")] = "ddim"
    precision: Annotated[Precision, Field(description="full, or mixed where it helps")] = "autocast"
    plms: Annotated[
        bool, Field(description="type standard only: the plms sampler instead of ddim")
    ] = False
    laion400m: Annotated[
        bool, Field(description="type standard only: kept for old clients, without effect")
    ] = False

    @property
    def image_count(self) -> int:
        """How many pictures the request asks for."""
        return self.n_iter * self.n_samples

    def settled(self, *, model: str, seed: int) -> Self:
        """The same request with its model chosen and its seed drawn."""
        return self.model_copy(update={"ckpt": model, "seed": seed})

    def stored(self) -> dict[str, Any]:
        """The form kept in the record: the README's names, without pixels."""
        return self.model_dump(mode="json", by_alias=True, exclude={"init_img"})


class TextToImage(GenerationRequest):
    """POST /generate. Omitted fields take the value of the README's first example."""

    kind: ClassVar[JobKind] = "txt2img"

    ddim_steps: Annotated[int, Field(ge=1, le=1000, description="sampling steps a picture")] = 20


class ImageToImage(GenerationRequest):
    """POST /img2img. Omitted fields take the value of the README's second example.

    `init_img` is base64 in a body; here it is the decoded picture as an RGB PNG, or nothing when
    the request was read back from a record (the picture itself then lies in the store).
    """

    kind: ClassVar[JobKind] = "img2img"

    init_img: Annotated[
        InitImage, Field(repr=False, description="base64 of a PNG, JPEG or WebP picture")
    ]
    denoising_strength: Annotated[
        float, Field(gt=0, le=1, description="how much of the picture is drawn anew")
    ] = 0.5
    noise_multiplier: Annotated[
        float, Field(ge=0, le=10, description="scales the noise added to the picture")
    ] = 1.0
    upscale: Annotated[bool, Field(description="upscale the picture before it is used")] = False
    post_upscale: Annotated[bool, Field(description="upscale the result")] = False
    n_iter: Annotated[int, Field(ge=1, le=1000, description="batches, one after the other")] = 2
    sampler: Annotated[Sampler, Field(description="sampler key or label")] = "plms"


Request = TextToImage | ImageToImage
REQUESTS: dict[JobKind, type[TextToImage] | type[ImageToImage]] = {
    "txt2img": TextToImage,
    "img2img": ImageToImage,
}


def parse_request(
    kind: JobKind,
    body: dict[str, Any],
    *,
    limits: Limits | None = None,
    default_type: JobType = "optimized",
) -> Request:
    """Read a body (less its `api_key`) against the schema of its kind.

    Args:
        kind: which endpoint it came to.
        body: the JSON object, as decoded.
        limits: caps on one request.
        default_type: the type of a body that names none.

    Raises:
        InvalidRequest: with every fault of every field, and of the fields together.
    """
    limits = limits or Limits()
    context = {"limits": limits}
    model = REQUESTS[kind]
    body = {"type": default_type, **body}
    if body.get("plms") is True:
        body = {"sampler": "plms", **body}
    try:
        request = model.model_validate(body, context=context)
        faults: tuple[Fault, ...] = ()
    except ValidationError as error:
        faults = faults_of(error, model, body)
        request = _what_is_right(model, body, faults)
    wrong = {fault.field for fault in faults}
    if request is not None:
        asked = Asked(request, frozenset(body), limits)
        judged = (rule.check(asked) for rule in RULES if wrong.isdisjoint(rule.fields))
        faults += tuple(fault for fault in judged if fault)
    if faults or request is None:
        raise InvalidRequest(faults)
    return request


def read_stored(kind: JobKind, stored: dict[str, Any]) -> Request:
    """The request of a record. Raises InvalidRequest when the record is not one of ours."""
    model = REQUESTS[kind]
    pixels = {"init_img": b""} if kind == "img2img" else {}
    try:
        return model.model_validate({**stored, **pixels})
    except ValidationError as error:
        raise InvalidRequest(faults_of(error, model, stored)) from error


def _what_is_right(
    model: type[TextToImage] | type[ImageToImage], body: dict[str, Any], faults: tuple[Fault, ...]
) -> Request | None:
    """The request without its faulty fields, so that the rules can judge the others."""
    wrong = {fault.field for fault in faults}
    known = {info.alias or name for name, info in model.model_fields.items()}
    rest = {name: value for name, value in body.items() if name in known - wrong}
    if "init_img" in known:
        rest["init_img"] = b""
    rest.setdefault("type", "standard")
    try:
        return model.model_validate(rest)
    except ValidationError:
        return None
