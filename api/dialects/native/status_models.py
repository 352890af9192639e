"""The JSON of the native dialect's answers about jobs, as schemas.

Keys that may be absent have a default. Those with a capital are the reference's, which its clients
read. Some that this service added later have a capital or an ambiguous name as well; they are
deprecated, and their descriptions name the keys that replace them.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from jobs.names import JobKind, JobType
from jobs.status import JobState

Absent = SkipJsonSchema[None]
"""Beside a type: the key may be absent; it is never null."""
Base64 = Annotated[str, Field(json_schema_extra={"contentEncoding": "base64"})]


def _without_null_defaults(schema: dict[str, Any]) -> None:
    """Drop the default null of keys that are absent instead of null."""
    for described in schema["properties"].values():
        if described.get("default", ...) is None:
            del described["default"]


def _replaced_by(key: str) -> Any:
    """A deprecated key; `key` is the one to read instead."""
    return Field(
        default=None,
        description=f"deprecated: read `{key}`",
        json_schema_extra={"deprecated": True},
    )


class JobAnswer(BaseModel):
    """Base of the answers with deprecated keys.

    Attributes:
        FORMER_KEYS: deprecated key → the key whose value it repeats.
    """

    model_config = ConfigDict(json_schema_extra=_without_null_defaults)
    FORMER_KEYS: ClassVar[dict[str, str]] = {}

    def to_json(self) -> dict[str, Any]:
        """The keys that were set, and the deprecated keys that repeat them."""
        answer = self.model_dump(mode="json", exclude_unset=True)
        return answer | {
            former: answer[key] for former, key in self.FORMER_KEYS.items() if key in answer
        }


class AcceptedJob(BaseModel):
    """A job that was accepted."""

    task_id: str
    Location: str = Field(description="the address of its status")
    active_model: str = Field(description="the model that it will use; empty if it needs none")
    Warnings: list[str] = Field(description="parts of the request that could not be followed")


class JobFailure(BaseModel):
    """Why a job failed."""

    code: str = Field(description="for programs: a value of `FailureCode")
    message: str


class Postponed(BaseModel):
    """Why a job waits although it was started: the store or Redis failed, not the job."""

    times: int = Field(description="how often it was postponed")
    most: int = Field(description="how often it may be before it fails")
    code: str = Field(description="of the failure: a value of `FailureCode`")
    message: str
    retry_at: float | None = Field(
        description="when it returns to the queue, in seconds since the epoch; null: it has"
    )


class Metadata(BaseModel):
    """How the pictures of a job were made. A job without a model has no facts of one."""

    model_config = ConfigDict(json_schema_extra=_without_null_defaults)

    model: str | Absent = None
    model_hash: str | Absent = Field(
        default=None, description="the first ten hex digits of the weights' SHA-256"
    )
    vae: str | Absent = Field(
        default=None, description="file of the autoencoder in place of the model's own, or empty"
    )
    sampler: str | Absent = None
    steps: int | Absent = None
    executed_steps: int | Absent = Field(
        default=None, description="as run; img2img runs fewer than requested"
    )
    prompt: dict[str, Any] | Absent = Field(
        default=None, description="both prompts as they were parsed"
    )
    upscaler: str = Field(description="what enlarged the pictures; empty: nothing did")
    timings: dict[str, float] = Field(description="seconds by phase")
    request: dict[str, Any] = Field(description="the request, without key and picture")
    inputs: list[str] = Field(
        description="which pictures came with the request, such as init and mask; the service does "
        "not keep them"
    )


class Status(JobAnswer):
    """The status of a job, and its result."""

    FORMER_KEYS: ClassVar[dict[str, str]] = {
        "image": "image_index",
        "images": "image_count",
        "Images": "image_urls",
    }

    State: JobState
    Status: str = Field(description="the state in a sentence; of a failed job, the reason")
    Progress: float = Field(ge=0, le=1, description="over all pictures; never decreases")
    Warnings: list[str] = Field(description="parts of the request that could not be followed")
    task_id: str
    type: JobType
    active_model: str
    Loading: float | Absent = Field(
        default=None, ge=0, le=1, description="while the model is loaded: the loaded share"
    )
    queue_place: int | Absent = Field(default=None, description="while it waits: 1 is next")
    postponed: Postponed | Absent = Field(
        default=None, description="until it ends, if the store or Redis failed while it ran"
    )
    step: int | Absent = Field(default=None, description="network evaluations done")
    steps: int | Absent = Field(default=None, description="network evaluations planned")
    image_index: int | Absent = Field(
        default=None, description="the picture that is being generated, from 1"
    )
    image_count: int | Absent = Field(default=None, description="how many pictures")
    ETA: float | None = Field(
        default=None, description="seconds left; null before the first measurement"
    )
    failure: JobFailure | Absent = None
    Size: list[int] | Absent = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="width and height in pixels, of the first picture",
    )
    sizes: list[list[int]] | Absent = Field(
        default=None, description="width and height of each of `image_urls`, in pixels"
    )
    Format: str | Absent = Field(default=None, description="of the pictures, as in the request")
    image_urls: list[str] | Absent = Field(
        default=None, description="the address of each picture, the grid last"
    )
    Image: list[Base64] | Absent = Field(
        default=None, description="with return_base64: every picture, the grid last"
    )
    seeds: list[int] | Absent = Field(
        default=None, description="the seed of each picture; without a model none"
    )
    metadata: Metadata | Absent = None
    image: int | Absent = _replaced_by("image_index")
    images: int | Absent = _replaced_by("image_count")
    Images: list[str] | Absent = _replaced_by("image_urls")
    error: str | Absent = _replaced_by("failure.message")
    code: str | Absent = _replaced_by("failure.code")

    def to_json(self) -> dict[str, Any]:
        """As of JobAnswer; `error` and `code` repeat the failure."""
        answer = super().to_json()
        if self.failure is not None:
            answer |= {"error": self.failure.message, "code": self.failure.code}
        return answer


class JobPreview(JobAnswer):
    """The data of a `preview` event: how the first picture of a batch looks so far."""

    FORMER_KEYS: ClassVar[dict[str, str]] = {"image": "image_index"}

    task_id: str
    step: int = Field(description="network evaluations done")
    steps: int = Field(description="network evaluations planned")
    image_index: int = Field(description="the picture that is being generated, from 1")
    width: int = Field(description="of the preview, in pixels: an eighth of the picture's")
    height: int
    Preview: str = Field(description="a `data:image/jpeg;base64,...` URL")
    image: int | Absent = _replaced_by("image_index")


class EndedJob(BaseModel):
    """The result of cancelling or deleting a job."""

    task_id: str
    State: JobState = Field(description="CANCELLED, or the state in which the job was found")
    Status: Literal["cancelled", "stopping", "deleted"]


class ListedJob(Status):
    """A job in a list: its status, its request and its times."""

    Location: str = Field(description="the address of its status")
    kind: JobKind
    submitted: float = Field(description="seconds since 1970, like the other times")
    started: float | None = Field(description="null while it waits")
    finished: float | None = Field(description="null before it has ended")
    request: dict[str, Any] = Field(description="the request, without key and picture")


class RecentJobs(BaseModel):
    """The latest successful jobs."""

    model_config = ConfigDict(json_schema_extra=_without_null_defaults)

    Recent_finished_images: list[str] = Field(max_length=10, description="newest first")
    Under_way: list[ListedJob] | Absent = Field(
        default=None,
        description="with `facts`: the waiting and running jobs of this key, the next to end first",
    )
    Finished: list[ListedJob] | Absent = Field(
        default=None,
        description="with `facts`: the last ten of all keys and the other ones of this key, newest "
        "first",
    )
