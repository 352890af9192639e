"""One job, from claim to its end, whatever happens between."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from jobs.claims import Claim, Claims, ClaimStatus
from jobs.errors import JobsError, RecordsUnavailable
from jobs.file_cleanup import FileCleanup
from jobs.names import JobType
from worker.background.lease import LeaseKeeper
from worker.errors import JobStopped, StopReason, failure_of, is_device_error, is_out_of_memory
from worker.execution.active_job import ActiveJob
from worker.execution.pen import Pen
from worker.execution.studio import Studio

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Runner:
    """Runs jobs, one in each thread that calls it.

    Args:
        owner: this worker's id.
        claims, pen, file_cleanup: the records, what writes them, and what is not to stay of jobs.
        studio: where jobs are drawn.
        keeper: the thread that looks after running jobs.
        unwell: is called when this process can no longer compute, even a little.
    """

    owner: str
    claims: Claims
    pen: Pen
    file_cleanup: FileCleanup
    studio: Studio
    keeper: LeaseKeeper
    unwell: Callable[[], object]

    def run_next(self, job_type: JobType) -> StopReason | None:
        """Claim the next job of a type and run it to its end; nothing when none waits.

        Never raises, whatever the job does.

        Returns:
            Why the job was stopped, if it was.
        """
        try:
            claim = self.claims.claim(job_type, self.owner)
        except RecordsUnavailable as error:
            # the job stands where it stood, and is found again by a reaper
            log.warning("no job could be claimed", reason=str(error))
            return None
        if claim is None:
            log.debug("woken for nothing", type=job_type)
            return None
        with (
            structlog.contextvars.bound_contextvars(job=claim.job_id, attempt=claim.attempt),
            self.keeper.keep(claim) as running,
        ):
            try:
                return self._run(running)
            finally:
                self.studio.reporter.forget(running)

    def _run(self, running: ActiveJob) -> StopReason | None:
        claim = running.claim
        log.info("job claimed", type=claim.type, model=claim.model)
        doubtful = False
        try:
            hold = self._draw_within_memory(running)
        except JobStopped as stopped:
            return self._stopped(claim, stopped.reason)
        except Exception as error:  # noqa: BLE001 - the worker outlives every job
            doubtful = is_out_of_memory(error) or is_device_error(error)
            hold = self._failed(claim, error)
        if doubtful and not self.studio.relieve():
            # only now that the job has ended: handed back, it would take one worker after another
            log.error("nothing can be computed any more")
            self.unwell()
        if hold is ClaimStatus.CANCEL:
            return self._stopped(claim, StopReason.CANCELLED)
        if hold is ClaimStatus.LOST:
            return self._stopped(claim, StopReason.LOST)
        self._tidy(claim)
        return None

    def _draw_within_memory(self, running: ActiveJob) -> ClaimStatus:
        """Draw; when memory runs out, once more in the way that needs least of it.

        It is the same attempt: the record counts workers, and this one lives.
        """
        try:
            return self.studio.draw(running)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # the error is gone here, and with it the frames that held what there was no room for
        if not self.studio.relieve():
            raise MemoryError
        log.warning("memory ran out; drawing again with little")
        return self.studio.draw(running, within_little=True)

    def _failed(self, claim: Claim, error: Exception) -> ClaimStatus:
        failure = failure_of(error)
        log.warning(
            "job failed",
            code=failure.code,
            reason=failure.message,
            exc_info=error if failure.code == "internal_error" else None,
        )
        return self.pen.write(lambda: self.claims.fail(claim, failure))

    def _stopped(self, claim: Claim, reason: StopReason) -> StopReason:
        log.info("job stopped", reason=reason.value)
        if reason is StopReason.CANCELLED:
            self.pen.write(lambda: self.claims.cancelled(claim))
            self._tidy(claim)
        elif reason is StopReason.HAND_BACK and self._hand_back(claim) is ClaimStatus.CANCEL:
            self._tidy(claim)
        return reason

    def _hand_back(self, claim: Claim) -> ClaimStatus:
        # a worker that shuts down has no time: without this step the lease runs out instead
        return self.pen.write(lambda: self.claims.hand_back(claim), at_once=True)

    def _tidy(self, claim: Claim) -> None:
        """Delete what the ended job left in the store; a sweeper does it if this one cannot."""
        try:
            done = self.file_cleanup.clean(claim.job_id)
        except JobsError:
            done = False
        if not done:
            log.warning("what the job left behind is not deleted yet")
