"""The status of a job: its state, its progress, its result, and all of it as one value."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from jobs.failures import is_requests_fault
from jobs.names import JobKind, JobType


class JobState(StrEnum):
    """The states of a job. Three are final and never change again."""

    PENDING = "PENDING"
    LOADING = "LOADING"
    PROGRESS = "PROGRESS"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self in (JobState.SUCCESS, JobState.FAILURE, JobState.CANCELLED)


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Progress(_Fact):
    """The progress of a running job, counted over all its pictures.

    Attributes:
        step, steps: network evaluations done and planned.
        fraction: 0 to 1; never falls.
        image, images: the first picture of the current batch (from 1), and the number of all.
        eta_seconds: remaining time at the measured rate; None before the first evaluation.
        upscaling: a generated picture is being upscaled.
    """

    step: int
    steps: int
    fraction: float
    image: int = 1
    images: int = 1
    eta_seconds: float | None = None
    upscaling: bool = False


class Preview(_Fact):
    """The first picture of the current batch, unfinished and small.

    Attributes:
        step, steps, image: as in the `Progress` it belongs to.
        width, height: of the preview itself, in pixels.
        jpeg: the preview, as base64.
    """

    step: int
    steps: int
    image: int
    width: int
    height: int
    jpeg: str


class StoredPicture(_Fact):
    """One picture in the store. `index` is None for a grid, `seed` for what no sampler made."""

    name: str
    width: int
    height: int
    index: int | None = None
    seed: int | None = None


class Result(_Fact):
    """The result of a successful job.

    Attributes:
        images: the pictures in order.
        grid: all pictures in one, if it was requested and there is more than one.
        saved: False with `skip_save`: the pictures are transient.
        format: of the pictures, a key of `jobs.pictures.output_formats.OUTPUT_FORMATS`.
        upscaler: the name of what enlarged the pictures; empty: nothing did.
        model, model_hash: the model's name and the first 10 hex digits of its SHA-256; empty if the
            job needed no model, and then so are the following ones.
        vae: the file name of the autoencoder in place of the model's own; empty: none.
        sampler, steps, executed_steps: as requested, and the steps run (fewer with img2img).
        prompt: `prompt` and `negative_prompt` as the engine parsed them.
        timings: seconds by phase.
    """

    images: tuple[StoredPicture, ...]
    grid: StoredPicture | None = None
    saved: bool = True
    format: str
    upscaler: str = ""
    model: str = ""
    model_hash: str = ""
    vae: str = ""
    sampler: str = ""
    steps: int = 0
    executed_steps: int = 0
    prompt: dict[str, Any] = Field(default_factory=dict[str, Any])
    timings: dict[str, float]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of every picture, in order."""
        return tuple(image.seed for image in self.images if image.seed is not None)


class Failure(_Fact):
    """Why a job failed: a `jobs.failures.FailureCode`, and a sentence for people."""

    code: str
    message: str

    @property
    def requests_fault(self) -> bool:
        """Whether the request is at fault. A code of another version counts as the service's."""
        return is_requests_fault(self.code)


class Postponement(_Fact):
    """A job waits because the store or Redis failed, which is not the job's fault.

    Attributes:
        times, most: how often it was postponed, and how often it may be before it fails.
        failure: what it was postponed for the last time.
        retry_at: when its pause ends, in seconds since the epoch; None once it has ended.
    """

    times: int
    most: int
    failure: Failure
    retry_at: float | None = None


class JobStatus(_Fact):
    """A job at one moment, as its record has it.

    Attributes:
        queue_position: in the queue of its type, 1 being next; None unless the job is in it.
        postponed: None unless it was postponed, and once it has ended.
        priority: 0 to 9; among the jobs of its submitter the highest is next.
        fraction: 0 to 1; never falls, 1 only on success.
        loading: which fraction of the model is loaded; None unless it is being loaded.
        request: the request as stored: the README's parameters, without key and pictures.
        inputs: the roles of the pictures that came with the request.
        submitter: a digest of the API key that it was submitted with; empty: without one.
        cancel_requested: its cancellation was accepted; the job will end CANCELLED.
        attempts: how many times a worker has started it.
        submitted, started, finished: seconds since the epoch, by Redis' clock.
    """

    job_id: str
    kind: JobKind
    type: JobType
    state: JobState
    queue_position: int | None = None
    postponed: Postponement | None = None
    priority: int = 0
    progress: Progress | None = None
    fraction: float = 0.0
    loading: float | None = None
    request: dict[str, Any]
    inputs: tuple[str, ...] = ()
    model: str
    warnings: tuple[str, ...] = ()
    result: Result | None = None
    failure: Failure | None = None
    submitter: str = ""
    cancel_requested: bool = False
    attempts: int = 0
    submitted: float
    started: float | None = None
    finished: float | None = None


class JobSnapshot(_Fact):
    """A job at one moment, with its preview.

    Attributes:
        status: the job.
        previews: how many previews it has had, over all attempts.
        preview: the latest, if the job runs and the caller did not have it.
    """

    status: JobStatus
    previews: int = 0
    preview: Preview | None = None
