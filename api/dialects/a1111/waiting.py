"""Submits a job, waits for its end, and turns every other end than success into an error."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from flask import request
from werkzeug.exceptions import (
    Conflict,
    GatewayTimeout,
    HTTPException,
    InternalServerError,
    ServiceUnavailable,
    UnprocessableEntity,
)

from api.auth import Caller
from api.client_gone import client_gone
from api.http_errors import RETRY_SECONDS
from api.job_service import JobService, WaitResult
from jobs.errors import InvalidRequest, JobsError
from jobs.names import JobKind
from jobs.status import JobState, JobStatus

MAX_WARNINGS = 50


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job as a request of the dialect asks for it.

    Attributes:
        kind, body: of the native request.
        warnings: what could not be followed.
        written: for native fields, the names under which the client sent them.
        task_id: the same one with the same body is the same job; empty: a new job.
    """

    kind: JobKind
    body: dict[str, Any]
    warnings: Collection[str] = ()
    written: Mapping[str, str] | None = None
    task_id: str = ""


def finished(jobs: JobService, submission: Submission, caller: Caller) -> JobStatus:
    """Run a job of this request and return it once it has succeeded.

    A client that goes away cancels it.

    Raises:
        InvalidRequest: with the names of the fields that the client sent.
        HTTPException: 409 it was cancelled, 422 or 500 it failed, 503 too many are waiting, 504 it
            has not ended in time.
        What JobService.submit raises.
    """
    try:
        result = jobs.submit_and_wait(
            submission.kind,
            submission.body,
            submitter=caller.submitter,
            idempotency_key=submission.task_id or None,
            warnings=_first(list(submission.warnings)),
            address=request.remote_addr or "",
            abandoned=client_gone(request.environ),
        )
    except InvalidRequest as error:
        written = submission.written or {}
        named = (replace(each, field=written.get(each.field, each.field)) for each in error.faults)
        raise InvalidRequest(tuple(named)) from error
    if result.status is None:
        _refuse_unended(jobs, result, submission, caller)
    if result.status.state is not JobState.SUCCESS:
        raise _failure(result.status)
    return result.status


def _first(warnings: list[str]) -> tuple[str, ...]:
    """As many as the record of a job keeps."""
    if len(warnings) <= MAX_WARNINGS:
        return tuple(warnings)
    kept = warnings[: MAX_WARNINGS - 1]
    return (*kept, f"{len(warnings) - len(kept)} more fields were not followed")


def _refuse_unended(
    jobs: JobService, result: WaitResult, submission: Submission, caller: Caller
) -> NoReturn:
    """Nobody waits for the job any more; one that cannot be asked for again is cancelled."""
    if result.reason == "unfinished":
        again = (
            "send the same request again"
            if submission.task_id
            else f"GET /status/{result.job.job_id} has its pictures"
        )
        raise GatewayTimeout(f"the pictures are not ready yet; the job runs on: {again}")
    if not submission.task_id and result.reason != "abandoned":
        with suppress(JobsError):  # it may have ended meanwhile
            jobs.cancel(result.job.job_id, by=caller.submitter)
    whose = " of this key or address" if result.reason == "no_share" else ""
    raise ServiceUnavailable(
        "the client has closed the connection"
        if result.reason == "abandoned"
        else f"too many requests{whose} are waiting for their pictures already",
        retry_after=RETRY_SECONDS,
    )


def _failure(status: JobStatus) -> HTTPException:
    if status.state is JobState.CANCELLED:
        return Conflict("the job was interrupted before a picture was finished")
    message = status.failure.message if status.failure else "the job failed"
    if status.failure and status.failure.requests_fault:
        return UnprocessableEntity(message)
    return InternalServerError(message)
