"""The last steps of a job: it is published, fails, is stopped or is handed back."""

import time
from collections.abc import Callable
from contextlib import suppress

import structlog

from jobs.errors import JobsError, RecordsUnavailable, StoreError
from jobs.failures import FailureCode
from jobs.pictures.store import TRANSIENT, Staging
from jobs.records.claim import Claim, ClaimStatus
from jobs.status import Result
from stable_diffusion.stopwatch import Stopwatch
from worker.errors import StopReason
from worker.execution.execution_context import ExecutionContext
from worker.execution.failures import failure_of, is_passing

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 1.0


def write_with_retry(
    write: Callable[[], ClaimStatus], *, timeout_seconds: float = 120.0
) -> ClaimStatus:
    """Change the record of a job; while Redis does not answer, retry every second.

    The lease may expire meanwhile: a change that comes too late returns LOST, and so does one that
    never succeeds within the timeout. A timeout of 0 means a single try.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            return write()
        except RecordsUnavailable as error:
            if time.monotonic() > deadline:
                log.error("the record could not be written", reason=str(error))
                return ClaimStatus.LOST
        time.sleep(_RETRY_SECONDS)


def timings_of(claim: Claim, stopwatch: Stopwatch) -> dict[str, float]:
    """The seconds of each phase of a job, its time in the queue included."""
    seconds = {"queued": claim.started - claim.submitted} | stopwatch.seconds
    return {phase: round(spent, 3) for phase, spent in seconds.items()}


def publish(
    context: ExecutionContext, claim: Claim, staging: Staging, result: Result
) -> ClaimStatus:
    """Give the staged images their final names, and end the job with SUCCESS."""
    names = staging.names
    saved = any(not name.startswith(f"{TRANSIENT}/") for name in names)
    status = write_with_retry(
        lambda: context.claims.publishing(claim, names, size=staging.size, saved=saved)
    )
    if status is not ClaimStatus.HELD:
        return status
    staging.publish()
    status = write_with_retry(lambda: context.claims.finish(claim, result))
    if status is ClaimStatus.HELD:
        context.metrics.job_done(claim.type, result.timings)
        log.info("job done", pictures=len(result.images), **result.timings)
    elif status is ClaimStatus.LOST:
        with suppress(JobsError):
            context.file_cleanup.delete_unpublished(claim.job_id, names)
    return status


def fail_job(context: ExecutionContext, claim: Claim, error: Exception) -> ClaimStatus:
    """End the job with FAILURE, and with the code and the message for the client.

    A failure of the store or of Redis is not the job's: it is postponed, while it may be.
    """
    failure = failure_of(error)
    if is_passing(error):
        log.warning("job interrupted", code=failure.code, reason=failure.message)
        if isinstance(error, StoreError):
            context.on_store_failure()
        return write_with_retry(lambda: context.claims.postpone(claim, failure))
    log.warning(
        "job failed",
        code=failure.code,
        reason=failure.message,
        exc_info=error if failure.code == FailureCode.INTERNAL_ERROR else None,
    )
    return write_with_retry(lambda: context.claims.fail(claim, failure))


def end_job(context: ExecutionContext, claim: Claim, status: ClaimStatus) -> StopReason | None:
    """Clean up after the last write to the record, which returned `status`."""
    if status is ClaimStatus.CANCEL:
        return stop_job(context, claim, StopReason.CANCELLED)
    if status is ClaimStatus.LOST:
        return stop_job(context, claim, StopReason.LOST)
    _delete_leftovers(context, claim)
    return None


def stop_job(context: ExecutionContext, claim: Claim, reason: StopReason) -> StopReason:
    """Write why the job was stopped to its record, and clean up. A lost job is left alone."""
    log.info("job stopped", reason=reason.value)
    if reason is StopReason.CANCELLED:
        write_with_retry(lambda: context.claims.cancelled(claim))
        _delete_leftovers(context, claim)
    elif reason is StopReason.HAND_BACK:
        # a worker that shuts down cannot wait; if this fails, the lease expires instead
        status = write_with_retry(lambda: context.claims.hand_back(claim), timeout_seconds=0)
        if status is ClaimStatus.CANCEL:
            _delete_leftovers(context, claim)
    return reason


def _delete_leftovers(context: ExecutionContext, claim: Claim) -> None:
    """Delete the files that the ended job left in the store; if that fails, a sweeper does it."""
    try:
        done = context.file_cleanup.clean(claim.job_id)
    except JobsError:
        done = False
    if not done:
        log.warning("the job's leftover files could not be deleted; a sweeper will retry")
