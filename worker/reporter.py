"""Writes the progress of running jobs, at most ten times a second, the latest only.

The sampler leaves its progress here and goes on; it never waits for Redis.
"""

import threading
from collections.abc import Callable

from jobs.claims import Claims
from jobs.status import Progress
from worker.running import Running
from worker.ticker import Ticker

_INTERVAL_SECONDS = 0.1


class Reporter(Ticker):
    """The progress of one worker's jobs.

    Args:
        claims: the records.
        on_step: called at every evaluation, by the thread that samples.
    """

    def __init__(self, claims: Claims, on_step: Callable[[], object] = lambda: None) -> None:
        super().__init__("reporter", _INTERVAL_SECONDS)
        self._claims = claims
        self._on_step = on_step
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._latest: dict[Running, Progress] = {}
        self._loading: dict[Running, float] = {}

    def tell(self, running: Running, progress: Progress) -> None:
        """Leave the progress of a job after an evaluation. Returns at once."""
        self._on_step()
        with self._lock:
            self._latest[running] = progress
        self._news.set()

    def tell_loading(self, running: Running, share: float) -> None:
        """Leave how much of a job's model is loaded, 0..1. Returns at once."""
        with self._lock:
            self._loading[running] = share
        self._news.set()

    def forget(self, running: Running) -> None:
        """Drop what has not been written of a job that has ended."""
        with self._lock:
            self._latest.pop(running, None)
            self._loading.pop(running, None)

    def stop(self) -> None:
        self._stopped.set()
        self._news.set()
        super().stop()

    def tick(self) -> None:
        """Wait for news, then write it. What could not be written gives way to what is newer."""
        self._news.wait()
        self._news.clear()
        with self._lock:
            latest, self._latest = self._latest, {}
            loading, self._loading = self._loading, {}
        for running, share in loading.items():
            if running not in latest:
                running.heed(self._claims.loading(running.claim, share))
        for running, progress in latest.items():
            running.heed(self._claims.report(running.claim, progress))
