"""Writes the progress of running jobs: only the latest, at most ten times a second.

The sampling thread leaves its progress here and continues; it never waits for Redis.
"""

from collections.abc import Callable

from jobs.records.claims import Claims
from jobs.status import Progress
from worker.background.periodic_thread import PeriodicThread
from worker.execution.active_job import ActiveJob
from worker.execution.latest_value import LatestValue

_DELAY_SECONDS = 0.05
_INTERVAL_SECONDS = 0.1


class Reporter(PeriodicThread):
    """The progress of one worker's jobs.

    Args:
        claims: the records of the jobs.
        on_step: called at every evaluation of the network, by the sampling thread.
    """

    def __init__(self, claims: Claims, on_step: Callable[[], object] = lambda: None) -> None:
        super().__init__("reporter", _INTERVAL_SECONDS - _DELAY_SECONDS)
        self._claims = claims
        self._on_step = on_step
        self._latest: LatestValue[Progress | float] = LatestValue(_DELAY_SECONDS)

    def report(self, job: ActiveJob, progress: Progress) -> None:
        """Report the progress after an evaluation of the network. Never blocks."""
        self._on_step()
        self._latest.put(job, progress)

    def report_loading(self, job: ActiveJob, share: float) -> None:
        """Report how much of the job's model is loaded, 0..1. Never blocks."""
        self._latest.put(job, share)

    def discard(self, job: ActiveJob) -> None:
        """Drop the unwritten progress of a job that has ended."""
        self._latest.discard(job)

    def stop(self) -> None:
        self._stopped.set()
        self._latest.close()
        super().stop()

    def tick(self) -> None:
        """Wait for progress and write it. After a failure only newer progress is written."""
        for job, value in self._latest.take().items():
            if isinstance(value, Progress):
                job.apply(self._claims.report(job.claim, value))
            else:
                job.apply(self._claims.loading(job.claim, value))
