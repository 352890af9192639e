"""How a worker shuts down: it claims no more jobs, hands running jobs back, and finally exits."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress

import structlog
from celery.worker import state as celery_state

from jobs.claims import Claims
from jobs.errors import RecordsUnavailable
from worker.background.lease import LeaseKeeper
from worker.errors import StopReason

log = structlog.get_logger(__name__)

EXIT_FOR_RESTART = os.EX_TEMPFAIL
"""The exit code of a worker that shut down without a signal, or not in time after one."""


class GracefulShutdown:
    """The shutdown of one worker process.

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
        self._worker_id = worker_id
        self._leases = leases
        self._claims = claims
        self._grace_seconds = grace_seconds
        self._exit_seconds = exit_seconds
        self._begun = threading.Event()
        self._timers: list[threading.Timer] = []

    @property
    def begun(self) -> bool:
        """Whether the worker must claim no more jobs."""
        return self._begun.is_set()

    def begin(self) -> None:
        """Begin to shut down. Never blocks; a second call does nothing."""
        if self._begun.is_set():
            return
        self._begun.set()
        self._after(self._grace_seconds, lambda: self._leases.stop_all(StopReason.HAND_BACK))
        self._after(self._exit_seconds, self._exit_now)

    def begin_for_restart(self) -> None:
        """Begin to shut down because this process cannot compute; a supervisor restarts it."""
        self.begin()
        celery_state.should_stop = EXIT_FOR_RESTART

    def finish(self) -> None:
        """No job runs any more: cancel the timers."""
        for timer in self._timers:
            timer.cancel()

    def _after(self, seconds: float, action: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _exit_now(self) -> None:
        """End the process, even during work that cannot be stopped, such as loading a model."""
        running = self._leases.running()
        for job in running:
            with suppress(RecordsUnavailable):
                self._claims.hand_back(job.claim)
        log.warning("shutdown timed out", worker=self._worker_id, handed_back=len(running))
        os._exit(EXIT_FOR_RESTART)
