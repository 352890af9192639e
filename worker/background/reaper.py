"""Finds the jobs that nobody looks after: their worker vanished, or their message was lost.

Every worker has one. Each step on a record is atomic, so they need no lock among themselves.
"""

import math
import time
from collections.abc import Callable, Sequence

import structlog

from jobs.claims import Claims
from jobs.file_cleanup import FileCleanup
from jobs.names import JobType
from jobs.status import JobState
from worker.background.periodic_thread import PeriodicThread

log = structlog.get_logger(__name__)

# More than this need not be woken at once: each job that ends leaves the next round to the next.
_MOST_WOKEN = 100


class Reaper(PeriodicThread):
    """Sends back to the queue what has no live owner, and wakes workers for what waits too long.

    Args:
        claims: the records.
        file_cleanup: deletes what jobs that ended here left in the store.
        wake: sends a wake-up message: (job id, type).
        free_slots: how many more jobs this worker could run now.
        types: the job types this worker serves.
        reap_seconds: how often to look.
        wake_seconds: how long a job may wait, and a slot here stand free, at the same time.
        grace_seconds: after Redis was away, how long to let the others renew their leases first.
    """

    def __init__(
        self,
        claims: Claims,
        file_cleanup: FileCleanup,
        *,
        wake: Callable[[str, JobType], object],
        free_slots: Callable[[], int],
        types: Sequence[JobType],
        reap_seconds: float,
        wake_seconds: float,
        grace_seconds: float,
    ) -> None:
        super().__init__("reaper", reap_seconds)
        self._claims = claims
        self._file_cleanup = file_cleanup
        self._wake = wake
        self._free_slots = free_slots
        self._types = types
        self._wake_seconds = wake_seconds
        self._grace_seconds = grace_seconds
        self._free_since = math.inf

    def tick(self) -> None:
        self._wake_overdue()
        if self.calm_seconds > self._grace_seconds:
            self._reap()

    def _wake_overdue(self) -> None:
        """A slot is free here and yet a job waits: its message is lost, or with a frozen worker.

        Redis hands a message out before it notes who has it, so a worker that dies just then
        takes it along (docs/reliability.md).
        """
        now = time.monotonic()
        self._free_since = min(self._free_since, now) if self._free_slots() > 0 else math.inf
        if now - self._free_since < self._wake_seconds:
            return
        for job_type in self._types:
            waiting = self._claims.overdue(job_type, seconds=self._wake_seconds)
            if waiting:
                log.warning("jobs wait though a slot is free", type=job_type, waiting=waiting)
            for _ in range(min(waiting, _MOST_WOKEN)):
                self._wake("", job_type)

    def _reap(self) -> None:
        for orphan in self._claims.reap():
            log.warning("a worker vanished", job=orphan.job_id, state=orphan.state.value)
            if orphan.state is JobState.PENDING:
                self._wake(orphan.job_id, orphan.type)
            elif not self._file_cleanup.clean(orphan.job_id):
                log.warning("what the job left behind is not deleted yet", job=orphan.job_id)
