"""How a job ended without images, and how a wait did, as errors."""

from contextlib import suppress
from http import HTTPStatus
from typing import Literal

from api.dialects.openai.error_json import NO_RETRY
from api.http_errors import RETRY_SECONDS, HttpError
from api.job_service import JobService
from jobs.errors import JobsError
from jobs.status import JobState, JobStatus

CLIENT_CLOSED_REQUEST = 499
"""As nginx logs it; nobody reads the answer."""
_RETRY = ("Retry-After", str(RETRY_SECONDS))


def failure_of(status: JobStatus) -> tuple[HttpError, str]:
    """The error of a failed or cancelled job, and its code for programs.

    The same request would fail again, so clients are asked not to repeat it.
    """
    if status.state is JobState.CANCELLED or status.failure is None:
        cancelled = HttpError(HTTPStatus.CONFLICT, "the job was cancelled", headers=(NO_RETRY,))
        return cancelled, "cancelled"
    code = (
        HTTPStatus.BAD_REQUEST
        if status.failure.requests_fault
        else HTTPStatus.INTERNAL_SERVER_ERROR
    )
    return HttpError(code, status.failure.message, headers=(NO_RETRY,)), status.failure.code


def unfinished(
    reason: Literal["ended", "unfinished", "no_slot", "no_share", "abandoned"],
    *,
    seconds: float,
    job_url: str,
    goes_on: bool,
) -> HttpError:
    """The error of a wait that ended before its job.

    Args:
        reason: as of WaitResult.
        seconds: how long a request may wait.
        job_url: the address of the job's status.
        goes_on: the job was not cancelled; its request may be sent again.
    """
    then = (
        f"send the request again with its Idempotency-Key to wait on, or read {job_url}"
        if goes_on
        else f"the job is cancelled: {job_url}"
    )
    match reason:
        case "no_slot":
            message = f"too many requests are waiting for their images; {then}"
            return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, message, headers=(_RETRY,))
        case "no_share":
            message = f"too many requests of this key or address are waiting; {then}"
            return HttpError(HTTPStatus.TOO_MANY_REQUESTS, message, headers=(_RETRY,))
        case "abandoned":
            return HttpError(CLIENT_CLOSED_REQUEST, "the client has closed the connection")
        case _:
            message = f"the images are not ready after {seconds:g} s (SYNC_TIMEOUT); {then}"
            headers = () if goes_on else (NO_RETRY,)
            return HttpError(HTTPStatus.GATEWAY_TIMEOUT, message, headers=headers)


def cancel(jobs: JobService, job_id: str, submitter: str) -> None:
    """Cancel a job that nobody waits for; one that has ended stays as it is."""
    with suppress(JobsError):
        jobs.cancel(job_id, by=submitter)
