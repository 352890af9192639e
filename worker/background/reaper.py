"""Finds jobs whose worker has died, whose message was lost, and whose pause is over.

Every worker has a reaper. Each change of a record is atomic, so reapers need no common lock.
"""

import math
import time
from collections.abc import Callable, Sequence

import structlog

from jobs.names import JobType
from jobs.records.claims import Claims
from jobs.records.file_cleanup import FileCleanup
from jobs.status import JobState
from worker.background.periodic_thread import PeriodicThread

log = structlog.get_logger(__name__)

# The most messages sent at once; a later tick sends more if jobs still wait.
_MOST_RESENT = 100


class Reaper(PeriodicThread):
    """Returns jobs with an expired lease to the queue, and resends messages of waiting jobs.

    Args:
        claims: the records of the jobs.
        file_cleanup: deletes the files of jobs that end here.
        send: sends a message that wakes a worker: (job id, type). False: it cannot be sent.
        draw: executes waiting jobs in the free slots of this worker: (how many wait). Returns how
            many slots were free.
        free_slots: returns how many more jobs this worker could execute now.
        types: the job types this worker serves.
        reap_seconds: the interval.
        resend_after: resend after a job has waited, and a slot here been free, for so many seconds.
    """

    def __init__(
        self,
        claims: Claims,
        file_cleanup: FileCleanup,
        *,
        send: Callable[[str, JobType], bool],
        draw: Callable[[int], int],
        free_slots: Callable[[], int],
        types: Sequence[JobType],
        reap_seconds: float,
        resend_after: float,
    ) -> None:
        super().__init__("reaper", reap_seconds)
        self._claims = claims
        self._file_cleanup = file_cleanup
        self._send = send
        self._draw = draw
        self._free_slots = free_slots
        self._types = types
        self._resend_after = resend_after
        self._free_since = math.inf

    def tick(self) -> None:
        self._resend_lost()
        self._reap()
        for job_id, job_type in self._claims.release_postponed():
            self._send(job_id, job_type)

    def _resend_lost(self) -> None:
        """A job that waits although a slot is free has lost its message, or a frozen worker has it.

        This worker executes the job without a message, in case it cannot receive any, for instance
        because the broker's memory is full. Messages wake other workers for the rest.
        """
        now = time.monotonic()
        self._free_since = min(self._free_since, now) if self._free_slots() > 0 else math.inf
        if now - self._free_since < self._resend_after:
            return
        for job_type in self._types:
            waiting = self._claims.overdue(job_type, seconds=self._resend_after)
            if waiting:
                log.warning("jobs wait although a slot is free", type=job_type, waiting=waiting)
            for _ in range(min(waiting - self._draw(waiting), _MOST_RESENT)):
                if not self._send("", job_type):
                    break

    def _reap(self) -> None:
        for orphan in self._claims.reap():
            log.warning("lease expired", job=orphan.job_id, state=orphan.state.value)
            if orphan.state is JobState.PENDING:
                self._send(orphan.job_id, orphan.type)
            elif not self._file_cleanup.clean(orphan.job_id):
                log.warning("leftover files not deleted; a sweeper will retry", job=orphan.job_id)
