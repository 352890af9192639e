"""How a job is doing: its states, its progress, its result, and the whole of it as one value."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

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
    """How far a running job is, counted over all its pictures.

    Attributes:
        step, steps: network evaluations done and planned.
        fraction: 0 to 1, never falling while the job lives.
        image, images: the first picture of the batch now drawn (from 1), and how many in all.
        eta_seconds: time left at the rate measured so far; None before the first evaluation.
    """

    step: int
    steps: int
    fraction: float
    image: int = 1
    images: int = 1
    eta_seconds: float | None = None


class Preview(_Fact):
    """What the first picture of the batch now drawn looks like so far.

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
    """One picture in the store. `seed` and `index` are None for a grid."""

    name: str
    width: int
    height: int
    index: int | None = None
    seed: int | None = None


class Result(_Fact):
    """What a successful job left behind.

    Attributes:
        images: the pictures in order; empty when only a grid was asked for.
        grid: all pictures in one, when it was asked for and there was more than one.
        saved: False when `skip_save` was given: the pictures stand in a transient place.
        format: `png` or `jpg`.
        model, model_hash: the model's name and the first 10 hex digits of its SHA-256.
        sampler, steps, executed_steps: as asked for, and as run (img2img runs fewer).
        prompt: `prompt` and `negative_prompt` as the engine has parsed them.
        timings: seconds by phase.
    """

    images: tuple[StoredPicture, ...]
    grid: StoredPicture | None = None
    saved: bool = True
    format: str
    model: str
    model_hash: str
    sampler: str
    steps: int
    executed_steps: int
    prompt: dict[str, Any]
    timings: dict[str, float]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of every picture, in order."""
        return tuple(image.seed for image in self.images if image.seed is not None)


class Failure(_Fact):
    """Why a job failed: a stable code for programs, a sentence for people."""

    code: str
    message: str

    @property
    def requests_fault(self) -> bool:
        """Whether the request is at fault. A code of another version counts as the service's."""
        return is_requests_fault(self.code)


class JobStatus(_Fact):
    """Everything the record says of a job at one moment.

    Attributes:
        place: place in the queue of its type, 1 being next; None unless the job is waiting.
        priority: 0 to 9, the higher the sooner among the jobs of its submitter.
        fraction: 0 to 1, never falling, 1 only on success.
        loading: while the model is loaded, the share that is; None when nothing is told of it.
        request: the request as stored, by the README's names, without key and init image.
        submitter: whose job it is (a digest of the key; empty where keys are not kept).
        cancel_asked: a cancellation was accepted; the job will end CANCELLED.
        attempts: how often a worker has started it.
        submitted, started, finished: seconds since the epoch, by Redis' clock.
    """

    job_id: str
    kind: JobKind
    type: JobType
    state: JobState
    place: int | None = None
    priority: int = 0
    progress: Progress | None = None
    fraction: float = 0.0
    loading: float | None = None
    request: dict[str, Any]
    model: str
    warnings: tuple[str, ...] = ()
    result: Result | None = None
    failure: Failure | None = None
    submitter: str = ""
    cancel_asked: bool = False
    attempts: int = 0
    submitted: float
    started: float | None = None
    finished: float | None = None


class Sight(_Fact):
    """What is to be seen of a job at one moment.

    Attributes:
        status: the job.
        previews: how many previews it has had so far, over all attempts.
        preview: the latest, if it was asked for and the job still runs.
    """

    status: JobStatus
    previews: int = 0
    preview: Preview | None = None
