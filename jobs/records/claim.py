"""A job that a worker has claimed, and what became of its claim."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast, get_args

from jobs.names import JobKind, JobType
from jobs.status import JobState


class ClaimStatus(StrEnum):
    """The state of a worker's claim: it has the job, shall cancel it, or has lost it."""

    HELD = "held"
    CANCEL = "cancel"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class HeldJob:
    """What every step of a worker that has a job is compared with.

    Attributes:
        owner: the worker and this claim. A Redis that has lost its last second may give one token
            twice, even to one worker.
        token: the fencing token, larger than any the job had before.
    """

    job_id: str
    owner: str
    token: int


@dataclass(frozen=True, kw_only=True)
class Claim(HeldJob):
    """A job that a worker has claimed.

    Attributes:
        attempt: 1 for the first worker that starts it.
        stored_request: the request's JSON, for `jobs.validation.stored_request.read_stored`.
        inputs: the roles of its input pictures; None: its record is of version 1, without them.
        warnings: those of the job's submission.
        submitted, started: seconds since the epoch by Redis' clock; the first attempt started it.
    """

    type: JobType
    kind: JobKind
    attempt: int
    stored_request: str
    model: str
    warnings: tuple[str, ...]
    submitted: float
    started: float
    inputs: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ReapedJob:
    """A job whose lease expired, and its new state: PENDING again, FAILURE or CANCELLED."""

    job_id: str
    type: JobType
    state: JobState


def fields_of_claim(fields: list[str | None]) -> dict[str, Any]:
    """The fields of a record that a claim has. Raises ValueError or TypeError: it is damaged."""
    kind, request, model, warnings, submitted, started, inputs = fields
    if kind not in get_args(JobKind) or model is None:
        raise ValueError(f"kind is {kind!r} and model {model!r}")
    if not isinstance(json.loads(cast(str, request)), dict):
        raise ValueError("request is no JSON object")
    return {
        "kind": kind,
        "stored_request": request,
        "model": model,
        "warnings": tuple(json.loads(cast(str, warnings))),
        "submitted": float(cast(str, submitted)),
        "started": float(cast(str, started)),
        "inputs": None if inputs is None else tuple(json.loads(inputs)),
    }
