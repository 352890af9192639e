"""A thread that repeats one task, and survives every failure of the task and of Redis."""

import threading
from abc import ABC, abstractmethod

import structlog

from jobs.errors import RecordsUnavailable

log = structlog.get_logger(__name__)


class PeriodicThread(ABC):
    """Calls `tick` every `seconds`, from `start` to `stop`, in a thread of its own.

    While Redis does not answer it keeps trying, and logs one line; another when Redis answers.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._redis_away = False

    @abstractmethod
    def tick(self) -> None:
        """Do the task once. May raise anything."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the current tick to end."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.tick()
                self._log_redis(away=False)
            except RecordsUnavailable as error:
                self._log_redis(away=True, reason=str(error))
            except Exception:
                log.exception("a background task failed; it will be repeated", task=self._name)
            self._stopped.wait(self._seconds)

    def _log_redis(self, *, away: bool, reason: str = "") -> None:
        if away and not self._redis_away:
            log.warning("redis does not answer; retrying", task=self._name, reason=reason)
        elif self._redis_away and not away:
            log.info("redis answers again", task=self._name)
        self._redis_away = away
