"""A thread that does one thing again and again, and outlives every failure of Redis."""

import math
import threading
import time
from abc import ABC, abstractmethod

import structlog

from jobs.errors import RecordsUnavailable

log = structlog.get_logger(__name__)


class PeriodicThread(ABC):
    """Calls `tick` every `seconds`, from `start` to `stop`, in a thread of its own.

    While Redis is away it keeps trying, and says so in one line; another tells of its return.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self._name = name
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._away = False
        self._last_failure = -math.inf

    @abstractmethod
    def tick(self) -> None:
        """Do the thing once. May raise anything."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the tick under way."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def calm_seconds(self) -> float:
        """How long Redis has answered every tick; infinite when it never failed."""
        return time.monotonic() - self._last_failure

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.tick()
                self._tell(away=False)
            except RecordsUnavailable as error:
                self._last_failure = time.monotonic()
                self._tell(away=True, reason=str(error))
            except Exception:
                log.exception("a background task failed; it goes on", task=self._name)
            self._stopped.wait(self._seconds)

    def _tell(self, *, away: bool, reason: str = "") -> None:
        if away and not self._away:
            log.warning("redis is away; trying on", task=self._name, reason=reason)
        elif self._away and not away:
            log.info("redis is back", task=self._name)
        self._away = away
