"""The end of a job for which a client has waited: its images, or an error that says why not."""

from api.errors import (
    ClientGone,
    JobCancelled,
    JobFailed,
    JobImpossible,
    NoPlaceToWait,
    NoShareToWait,
    NotReady,
)
from api.job_wait import WaitResult
from jobs.status import JobState, JobStatus


def successful(status: JobStatus) -> JobStatus:
    """A job that has ended. Raises JobCancelled, JobFailed."""
    if status.state is JobState.SUCCESS:
        return status
    if status.state is JobState.CANCELLED or status.failure is None:
        raise JobCancelled
    raise (JobImpossible if status.failure.requests_fault else JobFailed)(status.failure)


def waited_for(result: WaitResult, *, seconds: float, again: str) -> JobStatus:
    """The successful job of a wait.

    Args:
        result: of JobService.submit_and_wait, with `keep` exactly if there is an `again`.
        seconds: how long a request may wait.
        again: what the same request must have to wait on, such as `Idempotency-Key`; empty:
            nobody can ask for the job again, so it was cancelled.

    Raises:
        NoImages: it was cancelled, it failed, or it has not ended.
    """
    if result.status is not None:
        return successful(result.status)
    match result.reason:
        case "no_slot":
            raise NoPlaceToWait
        case "no_share":
            raise NoShareToWait
        case "abandoned":
            raise ClientGone
        case _:
            raise NotReady(seconds, result.job.job_id, again=again)
