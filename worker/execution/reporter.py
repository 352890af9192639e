"""Writes the progress of running jobs, at most ten times a second, the latest only.

The sampler leaves its progress here and goes on; it never waits for Redis.
"""

from collections.abc import Callable

from jobs.claims import Claims
from jobs.status import Progress
from worker.background.periodic_thread import PeriodicThread
from worker.execution.active_job import ActiveJob
from worker.execution.latest_value import LatestValue

_PATIENCE_SECONDS = 0.05
_INTERVAL_SECONDS = 0.1


class Reporter(PeriodicThread):
    """The progress of one worker's jobs.

    Args:
        claims: the records.
        on_step: called at every evaluation, by the thread that samples.
    """

    def __init__(self, claims: Claims, on_step: Callable[[], object] = lambda: None) -> None:
        super().__init__("reporter", _INTERVAL_SECONDS - _PATIENCE_SECONDS)
        self._claims = claims
        self._on_step = on_step
        self._mailbox: LatestValue[Progress | float] = LatestValue(_PATIENCE_SECONDS)

    def tell(self, running: ActiveJob, progress: Progress) -> None:
        """Leave the progress of a job after an evaluation. Returns at once."""
        self._on_step()
        self._mailbox.leave(running, progress)

    def tell_loading(self, running: ActiveJob, share: float) -> None:
        """Leave how much of a job's model is loaded, 0..1. Returns at once."""
        self._mailbox.leave(running, share)

    def forget(self, running: ActiveJob) -> None:
        """Drop what has not been written of a job that has ended."""
        self._mailbox.forget(running)

    def stop(self) -> None:
        self._stopped.set()
        self._mailbox.close()
        super().stop()

    def tick(self) -> None:
        """Wait for news, then write it. What could not be written gives way to what is newer."""
        for running, word in self._mailbox.take().items():
            if isinstance(word, Progress):
                running.apply(self._claims.report(running.claim, word))
            else:
                running.apply(self._claims.loading(running.claim, word))
