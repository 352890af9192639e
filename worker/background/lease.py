"""Keeps the leases of running jobs alive, in a thread that does not sample.

The same round trip tells whether the job was cancelled or given away.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from jobs.claims import Claim, Claims
from worker.background.periodic_thread import PeriodicThread
from worker.errors import StopReason
from worker.execution.active_job import ActiveJob


class LeaseKeeper(PeriodicThread):
    """The leases of one worker.

    Args:
        claims: the records.
        renew_seconds: how often; must be well below the lease.
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
        running = ActiveJob(claim)
        with self._lock:
            self._running.add(running)
            if self._stopping:
                running.stop(self._stopping)
        try:
            yield running
        finally:
            with self._lock:
                self._running.discard(running)

    def running(self) -> tuple[ActiveJob, ...]:
        """The jobs this worker runs now."""
        with self._lock:
            return tuple(self._running)

    def stop_all(self, reason: StopReason) -> None:
        """Stop every job within one network evaluation, also those that are just being claimed."""
        with self._lock:
            self._stopping = reason
            for running in self._running:
                running.stop(reason)

    def tick(self) -> None:
        for running in self.running():
            running.apply(self._claims.renew(running.claim))
