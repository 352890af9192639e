"""Finds jobs that hang, and lets the worker leave: a thread that hangs cannot be ended."""

import math
import time
from collections.abc import Callable, Mapping

import structlog

from worker.background.lease import LeaseKeeper
from worker.background.periodic_thread import PeriodicThread
from worker.execution.progress_clock import ProgressClock

log = structlog.get_logger(__name__)

_INTERVAL_SECONDS = 0.5


class Watchdog(PeriodicThread):
    """Watches the progress of the running jobs, and of other work that may hang.

    The lease of a job that hangs is renewed no more, so a reaper returns the job to the queue, or
    ends it if it was cancelled or has hung too often.

    Args:
        leases: the running jobs.
        others: the name of each other work, and what returns its clock while it is done.
        on_hang: called when something hangs.
        progress_seconds, deadline_seconds: see `ProgressClock.problem`.
    """

    def __init__(
        self,
        leases: LeaseKeeper,
        *,
        others: Mapping[str, Callable[[], ProgressClock | None]],
        on_hang: Callable[[], object],
        progress_seconds: float,
        deadline_seconds: float,
    ) -> None:
        super().__init__("watchdog", _INTERVAL_SECONDS)
        self._leases = leases
        self._others = others
        self._on_hang = on_hang
        self._limits = progress_seconds, deadline_seconds
        self._ticked = math.inf

    @property
    def oldest_progress_seconds(self) -> float:
        """The longest time that a running job has not progressed; 0 without a job."""
        return max((job.clock.silent_seconds for job in self._leases.running()), default=0.0)

    def tick(self) -> None:
        late = self._late_seconds()
        for job in self._leases.running():
            self._check(job.clock, late, "the job", job=job.claim.job_id)
        for name, clock_of in self._others.items():
            if clock := clock_of():
                self._check(clock, late, name)

    def _late_seconds(self) -> float:
        """For how long this thread, and so every other one, could not run.

        The process was stopped, or its container or machine was paused.
        """
        before, self._ticked = self._ticked, time.monotonic()
        late = self._ticked - before - _INTERVAL_SECONDS
        return late if late > _INTERVAL_SECONDS else 0.0

    def _check(self, clock: ProgressClock, late: float, what: str, **context: str) -> None:
        if late:
            clock.forgive(late)
        problem = "" if clock.hung else clock.problem(*self._limits)
        if problem:
            clock.hung = True
            log.error(f"{what} {problem}", **context)
            self._on_hang()
