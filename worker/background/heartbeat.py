"""Tells everybody what this worker serves and how it is doing."""

from collections.abc import Callable

from jobs.workers import WorkerFacts, Workers
from worker.background.periodic_thread import PeriodicThread

# A worker counts as gone after this many missed announcements.
_MISSED = 4


class Heartbeat(PeriodicThread):
    """Announces the worker every `seconds`.

    Args:
        workers: where to.
        facts: what to say now.
        seconds: how often.
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
