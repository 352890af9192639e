"""Announces what this worker serves and what it is doing."""

from collections.abc import Callable

from jobs.worker_facts import WorkerFacts
from jobs.workers import Workers
from worker.background.periodic_thread import PeriodicThread

# After this many missed announcements a worker counts as gone.
_MISSED = 4


class Heartbeat(PeriodicThread):
    """Announces the worker every `seconds`.

    Args:
        workers: where it is announced.
        facts: returns the current facts.
        unload_models: drops the models that no job uses; called when a client has asked for it
            since the announcement before.
        seconds: the interval.
    """

    def __init__(
        self,
        workers: Workers,
        facts: Callable[[], WorkerFacts],
        unload_models: Callable[[], object],
        *,
        seconds: float,
    ) -> None:
        super().__init__("heartbeat", seconds)
        self._workers = workers
        self._facts = facts
        self._unload_models = unload_models
        self._ttl = seconds * _MISSED
        self._unloadings: int | None = None

    def tick(self) -> None:
        known, self._unloadings = self._unloadings, self._announce()
        if known is not None and self._unloadings > known:
            self._unload_models()
            self._announce()

    def _announce(self) -> int:
        return self._workers.announce(self._facts(), ttl_seconds=self._ttl)
