"""The JSON that this API answers with, as schemas. What an answer may leave out has a default.

The keys that begin with a capital are the reference's, and its clients read them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.json_schema import SkipJsonSchema

from jobs.names import JobKind, JobType
from jobs.status import JobState

Absent = SkipJsonSchema[None]
"""Beside a type: the key may be missing; it is never null."""
Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


def _without_null_defaults(schema: dict[str, Any]) -> None:
    """What may be left out of an answer is left out: it does not stand for null."""
    for described in schema["properties"].values():
        if described.get("default", ...) is None:
            del described["default"]


class FaultDetail(BaseModel):
    """One thing wrong with one field, and what would be right."""

    field: str
    code: str = Field(description="stable, for programs")
    value: Any = Field(description="what was sent, shortened; never a key, never a picture")
    problem: str
    expected: str


class Error(BaseModel):
    """The shape of every error."""

    error: str = Field(description="all of it in a sentence")
    details: list[FaultDetail] = Field(description="every fault of the body; else empty")


class Accepted(BaseModel):
    """A job that was taken in."""

    task_id: str
    Location: str = Field(description="where its status is found")
    active_model: str = Field(description="the model it will be drawn with")
    Warnings: list[str] = Field(description="what could not be honoured to the letter")


class Metadata(BaseModel):
    """How the pictures of a job came about."""

    model: str
    model_hash: str = Field(description="the first ten hex digits of the weights' SHA-256")
    sampler: str
    steps: int
    executed_steps: int = Field(description="as run; img2img runs fewer than were asked for")
    prompt: dict[str, Any] = Field(description="both prompts as they were read")
    timings: dict[str, float] = Field(description="seconds by phase")
    request: dict[str, Any] = Field(description="the request, without key and picture")


class Status(BaseModel):
    """How a job is doing, and what came of it."""

    model_config = ConfigDict(json_schema_extra=_without_null_defaults)

    State: JobState
    Status: str = Field(description="the same in a sentence; of a failed job, why")
    Progress: float = Field(ge=0, le=1, description="over all pictures; never goes back")
    Warnings: list[str] = Field(description="what could not be honoured to the letter")
    task_id: str
    type: JobType
    active_model: str
    Loading: float | Absent = Field(
        default=None, ge=0, le=1, description="while the model is loaded: the share that is"
    )
    queue_place: int | Absent = Field(default=None, description="while it waits: 1 is next")
    step: int | Absent = Field(default=None, description="evaluations of the network done")
    steps: int | Absent = Field(default=None, description="evaluations of the network planned")
    image: int | Absent = Field(default=None, description="the picture now drawn, from 1")
    images: int | Absent = Field(default=None, description="how many pictures")
    ETA: float | None = Field(default=None, description="seconds left; null while not measured")
    error: str | Absent = Field(default=None, description="why it failed")
    code: str | Absent = Field(default=None, description="the same, for programs")
    Size: list[int] | Absent = Field(
        default=None, min_length=2, max_length=2, description="width and height in pixels"
    )
    Format: str | Absent = Field(default=None, description="png or jpg")
    Images: list[str] | Absent = Field(default=None, description="where each picture is served")
    Image: list[Base64] | Absent = Field(
        default=None, description="with return_base64: every picture, and the grid last"
    )
    seeds: list[int] | Absent = Field(default=None, description="the seed of each picture")
    metadata: Metadata | Absent = None


class PreviewOfJob(BaseModel):
    """The data of a `preview` event: what the first picture of a batch looks like so far."""

    task_id: str
    step: int = Field(description="evaluations of the network done")
    steps: int = Field(description="evaluations of the network planned")
    image: int = Field(description="the picture now drawn, from 1")
    width: int = Field(description="of the preview, in pixels: an eighth of the picture's")
    height: int
    Preview: str = Field(description="a `data:image/jpeg;base64,...` URL")


class Ending(BaseModel):
    """What becomes of a job that shall end."""

    task_id: str
    State: JobState = Field(description="as it was found, or CANCELLED if that is what it is now")
    Status: Literal["cancelled", "stopping", "deleted"]


class JobFacts(Status):
    """A job in a list: its status, and what was asked for and when."""

    Location: str = Field(description="where its status is found")
    kind: JobKind
    submitted: float = Field(description="seconds since 1970, as all three")
    started: float | None = Field(description="null while it waits")
    finished: float | None = Field(description="null until it has ended")
    request: dict[str, Any] = Field(description="the request, without key and picture")


class Recent(BaseModel):
    """The latest successful jobs."""

    model_config = ConfigDict(json_schema_extra=_without_null_defaults)

    Recent_finished_images: list[str] = Field(max_length=10, description="newest first")
    Under_way: list[JobFacts] | Absent = Field(
        default=None,
        description="with `facts`: the jobs of this key that run or wait, the foremost first",
    )
    Finished: list[JobFacts] | Absent = Field(
        default=None,
        description="with `facts`: the last ten of everybody and the others of this key, "
        "newest first",
    )


class Template(BaseModel):
    """A complete request, and where it is to be posted."""

    name: str
    kind: JobKind
    type: JobType
    href: str = Field(description="where it is served")
    post_to: str


class Templates(BaseModel):
    """The templates: one a kind and type."""

    templates: list[Template]


class RequestBody(RootModel[dict[str, Any]]):
    """The JSON of a request, as it can be posted."""


class OpenApi(RootModel[dict[str, Any]]):
    """An OpenAPI document."""


class SamplerChoice(BaseModel):
    """A sampler and how a request may name it."""

    key: str
    label: str
    aliases: list[str]


class LimitsOfARequest(BaseModel):
    """How much one request may ask for."""

    max_side: int = Field(description="pixels of H and W")
    max_side_768: int = Field(description="the same for a model trained at 768")
    max_images: int = Field(description="n_iter · n_samples")
    max_work: int = Field(description="n_iter · n_samples · H · W · ddim_steps")
    max_init_pixels: int = Field(description="width · height of an init image")


class InstalledModel(BaseModel):
    """A model that a request may name."""

    name: str = Field(description="what the ckpt of a request says")
    kind: str = Field(description="such as sd1, sd2 or sd2-v; empty while it is not known")
    size: int = Field(description="bytes of its weights' files")
    hash: str = Field(description="as in results; empty while it is not known")
    resident: bool = Field(description="a worker holds it in memory")
    problem: str = Field(description="why it cannot be used; else empty")


class Models(BaseModel):
    """The models, and what prompts may add to them."""

    models: list[InstalledModel]
    default_model: str = Field(description="what the ckpt `default` stands for")
    loras: list[str] = Field(description="`<lora:name:0.8>` in a prompt")
    embeddings: list[str] = Field(description="by name in a prompt")


class Capabilities(BaseModel):
    """What this service can do now."""

    types: list[JobType] = Field(description="served by a worker")
    models: list[str] = Field(description="installed on a worker")
    default_model: str = Field(description="what the ckpt `default` stands for")
    loras: list[str] = Field(description="installed on a worker: `<lora:name:0.8>` in a prompt")
    embeddings: list[str] = Field(description="installed on a worker: by name in a prompt")
    samplers: list[SamplerChoice]
    precisions: list[str]
    formats: list[str]
    configs: list[str]
    limits: LimitsOfARequest
    defaults: dict[JobType, dict[JobKind, dict[str, Any]]] = Field(
        description="what a field stands for that is left out, by type and kind"
    )
