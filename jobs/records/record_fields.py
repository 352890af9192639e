"""The fields of a record in Redis, and the status that they give.

Written when the job is opened:
    version: of these fields, RECORD_VERSION; a record of version 1 has none;
    state, kind, type, priority, request (JSON), model, warnings (JSON), submitter, webhook;
    user: a digest of the submitter's user whose job it is, if the submitter names one;
    user_turn, own_score: its turn among the submitter's users, and its score in the submitter's
    queue, unless that is of its priority and order (`jobs.records.user_turns`);
    inputs: the roles of its input pictures (JSON); since version 2;
        since version 3 there may be one of a mask;
    ended_request: what becomes of a long request when the job ends (JSON); since version 2;
        since version 3 a request may have an output size or a second pass, and the kind may be
        upscale;
    submitted, waiting: when it was submitted, and when it was last put into its queue;
    order: its number in the order of arrival;
    place: its place in the queue while it waits (`jobs.records.fair_queue`);
    idempotency: the key of the request's hash, if it has an idempotency key.
Written by the worker that claims it:
    owner, token (the fencing token), attempts, claimed, started (by the first attempt);
    loading (0..1), progress (JSON), fraction (0..1), previews (how many);
    names (JSON), bytes, kept: its pictures, and whether they are `saved` or `transient`;
    hand_backs: how often workers that shut down have returned it;
    postponed, postponed_at, postponed_by (JSON), postponed_most, retry_at: how often it was
    postponed, when and for which failure the last time, how often it may be, until when it waits;
    result (JSON), failure (JSON), finished.
Written by a cancellation:
    cancel: 1.
All times are seconds since the epoch, by Redis' clock.

A process reads the records of its own version and of earlier ones. It leaves the waiting jobs of a
later version to a process that knows it, and reads of their status what it understands. A new
version is needed when a process that ignores a new field would execute the job wrongly.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from jobs.errors import UnreadableRecord
from jobs.failures import FailureCode
from jobs.status import (
    Failure,
    JobSnapshot,
    JobState,
    JobStatus,
    Postponement,
    Preview,
    Progress,
    Result,
)

RECORD_VERSION = 4
DAMAGED = Failure(
    code=FailureCode.INTERNAL_ERROR, message="the record of the job is damaged: fields are missing"
)
"""How a job ends whose record lacks what executing it needs."""


def record_of(fields: list[str]) -> dict[str, str]:
    """A hash that a script returns as a list of fields and values."""
    return dict(zip(fields[::2], fields[1::2], strict=True))


def snapshot_of(job_id: str, reply: list[Any]) -> JobSnapshot:
    """From a reply of WATCH of `jobs.records.record_steps`. Raises UnreadableRecord."""
    if reply[0] == "unreadable":
        raise UnreadableRecord(job_id, reply[1])
    queue_position, fields, preview = reply
    record = record_of(fields)
    status = status_of(job_id, record, queue_position)
    try:
        return JobSnapshot(
            status=status,
            previews=int(record.get("previews", 0)),
            preview=Preview.model_validate_json(preview) if preview else None,
        )
    except ValueError as error:
        raise UnreadableRecord(job_id, f"its preview: {error}") from error


def status_of(job_id: str, record: Mapping[str, str], queue_position: int | None) -> JobStatus:
    """The status that a record gives. Raises UnreadableRecord."""
    try:
        return _status_of(job_id, record, queue_position)
    except KeyError as error:
        problem = f"it has no field {error}"
    except ValidationError as error:
        problem = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
    except ValueError as error:
        problem = str(error)
    if (version := record.get("version", "1")) != str(RECORD_VERSION):
        problem = f"it has version {version}, and this process reads {RECORD_VERSION}: {problem}"
    raise UnreadableRecord(job_id, problem)


def _status_of(job_id: str, record: Mapping[str, str], queue_position: int | None) -> JobStatus:
    def of_json(field: str, empty: Any) -> Any:
        return json.loads(record[field]) if field in record else empty

    def time(field: str) -> float | None:
        return float(record[field]) if field in record else None

    state = JobState(record["state"])
    progress, result, failure = (of_json(name, None) for name in ("progress", "result", "failure"))
    return JobStatus.model_validate(
        {
            "job_id": job_id,
            "kind": record["kind"],
            "type": record["type"],
            "state": state,
            "queue_position": queue_position if state is JobState.PENDING else None,
            "postponed": None if state.final else _postponement(record),
            "priority": int(record["priority"]),
            "progress": progress and Progress.model_validate(progress),
            "fraction": float(record["fraction"]),
            "loading": of_json("loading", None) if state is JobState.LOADING else None,
            "request": of_json("request", {}),
            "inputs": tuple(of_json("inputs", ())),
            "model": record["model"],
            "warnings": tuple(of_json("warnings", ())),
            "result": result and Result.model_validate(result),
            "failure": failure and Failure.model_validate(failure),
            "submitter": record["submitter"],
            "cancel_requested": record.get("cancel") == "1",
            "attempts": int(record["attempts"]),
            "submitted": float(record["submitted"]),
            "started": time("started"),
            "finished": time("finished"),
        }
    )


def _postponement(record: Mapping[str, str]) -> Postponement | None:
    if "postponed" not in record:
        return None
    return Postponement(
        times=int(record["postponed"]),
        most=int(record["postponed_most"]),
        failure=Failure.model_validate_json(record["postponed_by"]),
        retry_at=float(record["retry_at"]) if "retry_at" in record else None,
    )
