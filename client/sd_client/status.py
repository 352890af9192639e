"""The status of a job, as frozen values. `raw` also has keys that this client does not know."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

Json = Mapping[str, Any]


class State(StrEnum):
    """The states of a job; the last three are final."""

    PENDING = "PENDING"
    LOADING = "LOADING"
    PROGRESS = "PROGRESS"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether the job has ended."""
        return self in (State.SUCCESS, State.FAILURE, State.CANCELLED)


@dataclass(frozen=True)
class Progress:
    """The progress of a job.

    Attributes:
        fraction: 0 to 1 over all pictures; never decreases.
        step: finished evaluations of the network, of `steps`; None unless the job samples.
        steps: planned evaluations.
        image: number of the current picture, from 1, of `images`.
        images: number of pictures.
        eta_seconds: estimated seconds left; None until there is a measurement.
    """

    fraction: float
    step: int | None = None
    steps: int | None = None
    image: int | None = None
    images: int | None = None
    eta_seconds: float | None = None


@dataclass(frozen=True)
class Status:
    """The status of a job, and its result.

    Attributes:
        job_id: its `task_id`.
        state: see State.
        message: the state as a sentence; of a failed job, the reason.
        progress: see Progress.
        model: name of the model.
        type: standard or optimized.
        warnings: parameters that the service ignored or changed.
        queue_place: position in the queue while the job waits; 1 is next.
        postponed: of a job that met a failing store or Redis: `times`, `most`, `code`, `message`
            and `retry_at`; empty for other jobs.
        loading: share of the model that is loaded, 0 to 1, while it is loading.
        error: of a failed job, the reason.
        code: of a failed job, the reason as a stable code.
        size: width and height of the first finished picture, in pixels.
        sizes: those of each of `images`.
        format: of its pictures, one of PictureFormat.
        images: path of each picture on the service, the grid last.
        seeds: the seed of each picture.
        metadata: model, sampler, executed steps, parsed prompt, timings, request.
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
    postponed: Json = field(default_factory=dict[str, Any])
    loading: float | None = None
    error: str | None = None
    code: str | None = None
    size: tuple[int, int] | None = None
    sizes: tuple[tuple[int, int], ...] = ()
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
        """From the JSON of `/status`. Raises KeyError, ValueError or TypeError."""
        size = answer.get("Size")
        failure = _failure(answer)
        return cls(
            job_id=answer["task_id"],
            state=State(answer["State"]),
            message=answer["Status"],
            progress=Progress(
                fraction=answer["Progress"],
                step=answer.get("step"),
                steps=answer.get("steps"),
                image=_current(answer, "image_index"),
                images=_current(answer, "image_count"),
                eta_seconds=answer.get("ETA"),
            ),
            model=answer.get("active_model", ""),
            type=answer.get("type", ""),
            warnings=tuple(answer.get("Warnings", ())),
            queue_place=answer.get("queue_place"),
            postponed=answer.get("postponed") or {},
            loading=answer.get("Loading"),
            error=failure.get("message"),
            code=failure.get("code"),
            size=(size[0], size[1]) if size else None,
            sizes=tuple((width, height) for width, height in answer.get("sizes", ())),
            format=answer.get("Format"),
            images=tuple(_current(answer, "image_urls") or ()),
            seeds=tuple(answer.get("seeds", ())),
            metadata=answer.get("metadata") or {},
            raw=answer,
        )


@dataclass(frozen=True)
class Preview:
    """A preview of the first picture of a batch.

    Attributes:
        step: finished evaluations of the network, of `steps`.
        steps: planned evaluations.
        image: number of the current picture, from 1.
        width: of the preview, in pixels.
        height: of the preview, in pixels.
        data: a JPEG file.
    """

    step: int
    steps: int
    image: int
    width: int
    height: int
    data: bytes = field(repr=False)

    @classmethod
    def read(cls, answer: Json) -> Self:
        """From the JSON of a `preview` event. Raises KeyError, ValueError or TypeError."""
        return cls(
            step=answer["step"],
            steps=answer["steps"],
            image=int(_current(answer, "image_index")),
            width=answer["width"],
            height=answer["height"],
            data=base64.b64decode(answer["Preview"].partition(",")[2]),
        )


Event = Status | Preview
"""What a job sends while it runs."""

_OLD_KEYS = {"image_urls": "Images", "image_count": "images", "image_index": "image"}
"""Key of an answer → the key that older services send instead."""


def _current(answer: Json, key: str) -> Any:
    value = answer.get(key)
    return answer.get(_OLD_KEYS[key]) if value is None else value


def _failure(answer: Json) -> Json:
    """`message` and `code` of a failed job; empty for other jobs."""
    old = {"message": answer.get("error"), "code": answer.get("code")}
    return answer.get("failure") or old
