"""How a job is doing, as frozen values. What the service may add to its answer is in `raw`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

Json = Mapping[str, Any]


class State(StrEnum):
    """The states of a job; three of them are final."""

    PENDING = "PENDING"
    LOADING = "LOADING"
    PROGRESS = "PROGRESS"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether it never changes any more."""
        return self in (State.SUCCESS, State.FAILURE, State.CANCELLED)


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Attributes:
        fraction: 0 to 1 over all pictures; never goes back.
        step: evaluations of the network done, of `steps`; None unless it is being drawn.
        steps: evaluations planned.
        image: the picture now drawn, from 1, of `images`.
        images: how many pictures.
        eta_seconds: seconds left; None while it is not measured.
    """

    fraction: float
    step: int | None = None
    steps: int | None = None
    image: int | None = None
    images: int | None = None
    eta_seconds: float | None = None


@dataclass(frozen=True)
class Status:
    """How a job is doing, and what came of it.

    Attributes:
        job_id: its `task_id`.
        state: see State.
        message: the same in a sentence; of a failed job, why.
        progress: how far it is.
        model: the model it is drawn with.
        type: standard or optimized.
        warnings: what could not be honoured to the letter.
        queue_place: while it waits: 1 is next.
        loading: while the model is loaded: the share that is, 0 to 1.
        error: of a failed job, why.
        code: the same, for programs.
        size: width and height of a finished picture, in pixels.
        format: png or jpg.
        images: where each picture is served, the grid last.
        seeds: the seed of each picture.
        metadata: model, sampler, executed steps, prompt as read, timings, request.
        raw: the whole answer.
    """

    job_id: str
    state: State
    message: str
    progress: Progress
    model: str = ""
    type: str = ""
    warnings: tuple[str, ...] = ()
    queue_place: int | None = None
    loading: float | None = None
    error: str | None = None
    code: str | None = None
    size: tuple[int, int] | None = None
    format: str | None = None
    images: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    metadata: Json = field(default_factory=dict[str, Any])
    raw: Json = field(default_factory=dict[str, Any], repr=False, compare=False)

    @property
    def timings(self) -> Mapping[str, float]:
        """Seconds by phase of a finished job: queued, load, encode, sample, decode, save."""
        return self.metadata.get("timings", {})

    @classmethod
    def read(cls, answer: Json) -> Self:
        """From the JSON of `/status`. Raises KeyError or ValueError if it is something else."""
        size = answer.get("Size")
        return cls(
            job_id=answer["task_id"],
            state=State(answer["State"]),
            message=answer["Status"],
            progress=Progress(
                fraction=answer["Progress"],
                step=answer.get("step"),
                steps=answer.get("steps"),
                image=answer.get("image"),
                images=answer.get("images"),
                eta_seconds=answer.get("ETA"),
            ),
            model=answer.get("active_model", ""),
            type=answer.get("type", ""),
            warnings=tuple(answer.get("Warnings", ())),
            queue_place=answer.get("queue_place"),
            loading=answer.get("Loading"),
            error=answer.get("error"),
            code=answer.get("code"),
            size=(size[0], size[1]) if size else None,
            format=answer.get("Format"),
            images=tuple(answer.get("Images", ())),
            seeds=tuple(answer.get("seeds", ())),
            metadata=answer.get("metadata") or {},
            raw=answer,
        )


@dataclass(frozen=True)
class Preview:
    """What the first picture of a batch looks like at a step.

    Attributes:
        step: evaluations of the network done, of `steps`.
        steps: evaluations planned.
        image: the picture now drawn, from 1.
        width: of the preview, in pixels.
        height: of the preview, in pixels.
        data: a JPEG.
    """

    step: int
    steps: int
    image: int
    width: int
    height: int
    data: bytes = field(repr=False)


Event = Status | Preview
"""What is told while a job runs."""
