"""Whether this worker can store pictures. While it cannot, it claims no jobs."""

import math
import threading
import time
from collections.abc import Callable

import structlog

from jobs.errors import StoreError
from jobs.store import PictureStore
from worker.background.periodic_thread import PeriodicThread

log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.2


class StoreProbe(PeriodicThread):
    """Probes the store before jobs are claimed, and while it fails also without any.

    Args:
        store: the store of the pictures.
        seconds: for how long the result of a probe is relied upon.
    """

    def __init__(self, store: PictureStore, *, seconds: float) -> None:
        super().__init__("store probe", seconds)
        self._store = store
        self._valid_seconds = seconds
        self._probed = -math.inf
        self._lock = threading.Lock()
        self.problem = ""
        """Why no pictures can be stored, as far as is known; empty: they can. Never blocks."""

    def tick(self) -> None:
        if self.problem:
            self.usable()

    def suspect(self) -> None:
        """A picture could not be stored: rely on no earlier probe."""
        self._probed = -math.inf

    def usable(self) -> bool:
        """Whether pictures can be stored. Blocks while the store is probed."""
        with self._lock:
            if time.monotonic() - self._probed >= self._valid_seconds:
                self._probed = time.monotonic()
                self._note(self._probe())
            return not self.problem

    def wait(self, leaving: Callable[[], bool]) -> None:
        """Return when pictures can be stored, or when the worker is `leaving`."""
        while not leaving() and not self.usable():
            time.sleep(_POLL_SECONDS)

    def _probe(self) -> str:
        try:
            self._store.probe()
        except StoreError as error:
            return str(error)
        return ""

    def _note(self, problem: str) -> None:
        if problem and not self.problem:
            log.error("the picture store cannot be used; no jobs are claimed", reason=problem)
        elif self.problem and not problem:
            log.info("the picture store can be used again")
        self.problem = problem
