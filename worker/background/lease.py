"""Renews the leases of running jobs, in a thread of its own.

The reply to each renewal says whether the job was cancelled, or taken over by another worker.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.records.claim import Claim
from jobs.records.claims import Claims
from worker.background.periodic_thread import PeriodicThread
from worker.errors import StopReason
from worker.execution.active_job import ActiveJob


class LeaseKeeper(PeriodicThread):
    """The leases of one worker.

    Args:
        claims: the records of the jobs.
        renew_seconds: the interval; must be well below the duration of a lease.
    """

    def __init__(self, claims: Claims, *, renew_seconds: float) -> None:
        super().__init__("lease", renew_seconds)
        self._claims = claims
        self._lock = threading.Lock()
        self._running: set[ActiveJob] = set()
        self._stopping: StopReason | None = None

    @contextmanager
    def keep(self, claim: Claim) -> Iterator[ActiveJob]:
        """Renew the lease of a claim for the length of a with block."""
        job = ActiveJob(claim)
        with self._lock:
            self._running.add(job)
            if self._stopping:
                job.stop(self._stopping)
        try:
            yield job
        finally:
            with self._lock:
                self._running.discard(job)

    def running(self) -> tuple[ActiveJob, ...]:
        """The jobs that this worker executes now."""
        with self._lock:
            return tuple(self._running)

    def stop_all(self, reason: StopReason) -> None:
        """Stop every job at its next evaluation, and every job that is claimed later."""
        with self._lock:
            self._stopping = reason
            for job in self._running:
                job.stop(reason)

    def tick(self) -> None:
        for job in self.running():
            if job.renewable:
                job.apply(self._claims.renew(job.claim))
