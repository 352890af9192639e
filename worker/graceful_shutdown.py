"""How a worker leaves: it claims nothing more, hands jobs back, and breaks off what is left."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress

import structlog
from celery.worker import state as worker_state

from jobs.claims import Claims
from jobs.errors import RecordsUnavailable
from worker.background.lease import LeaseKeeper
from worker.errors import StopReason

log = structlog.get_logger(__name__)

LEFT_BY_ITSELF = os.EX_TEMPFAIL
"""The exit code of a worker that was not asked to leave, or did not manage to in time."""


class GracefulShutdown:
    """The end of one worker process.

    Args:
        worker_id: whose.
        keeper, claims: its running jobs, and the records.
        grace_seconds: after which running jobs are handed back.
        most_seconds: after which the process ends, whatever goes on in it.
    """

    def __init__(
        self,
        worker_id: str,
        keeper: LeaseKeeper,
        claims: Claims,
        *,
        grace_seconds: float,
        most_seconds: float,
    ) -> None:
        self._worker_id = worker_id
        self._keeper = keeper
        self._claims = claims
        self._grace = grace_seconds
        self._most = most_seconds
        self._begun = threading.Event()
        self._timers: list[threading.Timer] = []

    @property
    def begun(self) -> bool:
        """Whether nothing more is to be claimed."""
        return self._begun.is_set()

    def begin(self) -> None:
        """Leave. Returns at once; a second time, nothing happens."""
        if self._begun.is_set():
            return
        self._begun.set()
        self._after(self._grace, lambda: self._keeper.stop_all(StopReason.HAND_BACK))
        self._after(self._most, self._break_off)

    def begin_unasked(self) -> None:
        """Leave because this process is of no use any more; whoever started it starts another."""
        self.begin()
        worker_state.should_stop = LEFT_BY_ITSELF

    def done(self) -> None:
        """Nothing runs any more, and nothing need be broken off."""
        for timer in self._timers:
            timer.cancel()

    def _after(self, seconds: float, do: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, do)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def _break_off(self) -> None:
        """End the process in the middle of what cannot be stopped, such as loading a model."""
        running = self._keeper.running()
        for job in running:
            with suppress(RecordsUnavailable):
                self._claims.hand_back(job.claim)
        log.warning("worker breaks off", worker=self._worker_id, handed_back=len(running))
        os._exit(LEFT_BY_ITSELF)
