"""Announces what this worker serves and what it is doing."""

from collections.abc import Callable

from jobs.workers import WorkerFacts, Workers
from worker.background.periodic_thread import PeriodicThread

# After this many missed announcements a worker counts as gone.
_MISSED = 4


class Heartbeat(PeriodicThread):
    """Announces the worker every `seconds`.

    Args:
        workers: where it is announced.
        facts: returns the current facts.
        seconds: the interval.
    """

    def __init__(
        self, workers: Workers, facts: Callable[[], WorkerFacts], *, seconds: float
    ) -> None:
        super().__init__("heartbeat", seconds)
        self._workers = workers
        self._facts = facts
        self._ttl = seconds * _MISSED

    def tick(self) -> None:
        self._workers.announce(self._facts(), ttl_seconds=self._ttl)
