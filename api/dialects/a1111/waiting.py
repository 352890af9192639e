"""Submits a job, waits for its end, and returns it with its pictures or as interrupted."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import request

from api.auth import Caller
from api.dialect import Services
from api.http.client_gone import client_gone
from api.waited_job import successful, waited_for
from jobs.errors import IdempotencyKeyReused, InvalidRequest
from jobs.names import JobKind
from jobs.status import JobState, JobStatus

MAX_WARNINGS = 50
_TASK_ID = "force_task_id"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job as a request of the dialect asks for it.

    Attributes:
        kind, body: of the native request.
        usual: what the dialect fills in for what neither the body nor the model says.
        warnings: what could not be followed.
        written: for native fields, the names under which the client sent them.
        task_id: the same one with the same body is the same job; empty: a new job.
    """

    kind: JobKind
    body: dict[str, Any]
    usual: Mapping[str, Any] | None = None
    warnings: Collection[str] = ()
    written: Mapping[str, str] | None = None
    task_id: str = ""


def finished(services: Services, submission: Submission, caller: Caller) -> JobStatus:
    """Run a job of this request and return it once it has succeeded.

    A client that goes away cancels it, unless `force_task_id` can ask for it again.

    Raises:
        InvalidRequest: with the names of the fields that the client sent.
        NoImages: it was cancelled, it failed, or it has not ended in time.
        What JobService.submit raises.
    """
    return successful(finished_or_interrupted(services, submission, caller))


def finished_or_interrupted(
    services: Services, submission: Submission, caller: Caller
) -> JobStatus:
    """The same, of a job that may also have been cancelled: then it has no pictures.

    AUTOMATIC1111 answers an interrupted request as a successful one, and so its clients expect.
    """
    again = _TASK_ID if submission.task_id else ""
    try:
        result = services.jobs.submit_and_wait(
            submission.kind,
            submission.body,
            submitter=caller.submitter,
            idempotency_key=submission.task_id or None,
            warnings=_first(list(submission.warnings)),
            usual=submission.usual,
            address=request.remote_addr or "",
            abandoned=client_gone(request.environ),
            keep=bool(again),
        )
    except IdempotencyKeyReused:
        raise IdempotencyKeyReused(_TASK_ID) from None
    except InvalidRequest as error:
        written = submission.written or {}
        named = (replace(each, field=written.get(each.field, each.field)) for each in error.faults)
        raise InvalidRequest(tuple(named)) from error
    if result.status is not None and result.status.state is JobState.CANCELLED:
        return result.status
    return waited_for(result, seconds=services.settings.sync_timeout, again=again)


def _first(warnings: list[str]) -> tuple[str, ...]:
    """As many as the record of a job keeps."""
    if len(warnings) <= MAX_WARNINGS:
        return tuple(warnings)
    kept = warnings[: MAX_WARNINGS - 1]
    return (*kept, f"{len(warnings) - len(kept)} more fields were not followed")
