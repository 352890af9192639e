"""Whether this worker can store pictures. While it cannot, it claims no jobs."""

import math
import threading
import time
from collections.abc import Callable

import structlog

from jobs.errors import StoreError
from jobs.pictures.store import PictureStore
from worker.background.periodic_thread import PeriodicThread
from worker.execution.progress_clock import ProgressClock

log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.2
_SLOW_SECONDS = 30.0


class StoreProbe(PeriodicThread):
    """Probes the store before jobs are claimed, and while it fails also without any.

    Args:
        store: the store of the pictures.
        seconds: for how long the result of a probe is relied upon.
        slow_seconds: a probe that lasts longer is a problem, though it has not ended.
    """

    def __init__(
        self, store: PictureStore, *, seconds: float, slow_seconds: float = _SLOW_SECONDS
    ) -> None:
        super().__init__("store probe", seconds)
        self._store = store
        self._valid_seconds = seconds
        self._probed = -math.inf
        self._lock = threading.Lock()
        self._slow_seconds = slow_seconds
        self._problem = ""
        self.probing: ProgressClock | None = None
        """The clock of the probe that runs now, for the watchdog: a store may hang."""

    @property
    def problem(self) -> str:
        """Why no pictures can be stored, as far as is known; empty: they can. Never blocks."""
        probing = self.probing
        if probing and probing.silent_seconds >= self._slow_seconds:
            return f"the picture store has not answered for {probing.silent_seconds:.0f} s"
        return self._problem

    def tick(self) -> None:
        if self._problem:
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
            return not self._problem

    def wait(self, leaving: Callable[[], bool]) -> None:
        """Return when pictures can be stored, or when the worker is `leaving`."""
        while not leaving() and not self.usable():
            time.sleep(_POLL_SECONDS)

    def _probe(self) -> str:
        self.probing = ProgressClock()
        try:
            self._store.probe()
        except StoreError as error:
            return str(error)
        finally:
            self.probing = None
        return ""

    def _note(self, problem: str) -> None:
        if problem and not self._problem:
            log.error("the picture store cannot be used; no jobs are claimed", reason=problem)
        elif self._problem and not problem:
            log.info("the picture store can be used again")
        self._problem = problem
