"""How a worker shuts down: it claims no more jobs, hands running jobs back, and finally exits."""

import os
import time
from contextlib import suppress

import structlog
from celery.worker import state as celery_state

from jobs.errors import RecordsUnavailable
from jobs.records.claims import Claims
from worker.background.lease import LeaseKeeper
from worker.background.periodic_thread import PeriodicThread
from worker.errors import StopReason

log = structlog.get_logger(__name__)

EXIT_FOR_RESTART = os.EX_TEMPFAIL
"""The exit code of a worker that shut down without a signal, or not in time after one."""
_INTERVAL_SECONDS = 0.1


class GracefulShutdown(PeriodicThread):
    """The shutdown of one worker process.

    A signal handler calls `begin`, which only sets an attribute: a lock could be held by the code
    that the signal interrupted. This thread does the rest.

    Args:
        worker_id: for the log.
        leases: the running jobs.
        claims: the records of the jobs.
        grace_seconds: after which running jobs are handed back.
        exit_seconds: after which the process exits, even in the middle of a job.
    """

    def __init__(
        self,
        worker_id: str,
        leases: LeaseKeeper,
        claims: Claims,
        *,
        grace_seconds: float,
        exit_seconds: float,
    ) -> None:
        super().__init__("shutdown", _INTERVAL_SECONDS)
        self._worker_id = worker_id
        self._leases = leases
        self._claims = claims
        self._grace_seconds = grace_seconds
        self._exit_seconds = exit_seconds
        self._begun_at: float | None = None
        self._logged = False

    @property
    def begun(self) -> bool:
        """Whether the worker must claim no more jobs."""
        return self._begun_at is not None

    def begin(self) -> None:
        """Begin to shut down. Never blocks, and takes no lock; a second call does nothing."""
        if self._begun_at is None:
            self._begun_at = time.monotonic()

    def begin_for_restart(self) -> None:
        """Begin to shut down because this process cannot compute; a supervisor restarts it."""
        self.begin()
        celery_state.should_stop = EXIT_FOR_RESTART

    def tick(self) -> None:
        if self._begun_at is None:
            return
        if not self._logged:
            self._logged = True
            log.info("shutdown begun", worker=self._worker_id, running=len(self._leases.running()))
        elapsed = time.monotonic() - self._begun_at
        if elapsed >= self._grace_seconds:
            self._leases.stop_all(StopReason.HAND_BACK)
        running = self._leases.running()
        only_hung = bool(running) and all(job.clock.hung for job in running)
        if elapsed >= self._exit_seconds or only_hung:
            self._exit_now()

    def _exit_now(self) -> None:
        """End the process, even during work that cannot be stopped, such as loading a model."""
        running = [job for job in self._leases.running() if not job.clock.hung]
        for job in running:
            with suppress(RecordsUnavailable):
                self._claims.hand_back(job.claim)
        log.warning("exit in the middle of a job", worker=self._worker_id, handed_back=len(running))
        os._exit(EXIT_FOR_RESTART)
