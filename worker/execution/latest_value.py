"""Where running jobs leave word for a thread that passes it on at its own pace."""

import threading
from typing import Generic, TypeVar

from worker.execution.active_job import ActiveJob

T = TypeVar("T")


class LatestValue(Generic[T]):
    """Holds the latest word on each job. Whoever leaves one never waits.

    Args:
        patience: seconds between the first word and its taking. Of a job that is over sooner
            nothing is passed on, and nobody takes the processor from it meanwhile.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closed = threading.Event()
        self._latest: dict[ActiveJob, T] = {}

    def leave(self, running: ActiveJob, word: T) -> None:
        """Leave word on a job, instead of what was left before."""
        with self._lock:
            self._latest[running] = word
        self._news.set()

    def forget(self, running: ActiveJob) -> None:
        """Drop what has not been taken of a job that has ended."""
        with self._lock:
            self._latest.pop(running, None)

    def take(self) -> dict[ActiveJob, T]:
        """Wait for word, and take all there is; once it is closed, without waiting."""
        self._news.wait()
        self._closed.wait(self._patience)
        self._news.clear()
        if self._closed.is_set():
            self._news.set()
        with self._lock:
            latest, self._latest = self._latest, {}
        return latest

    def close(self) -> None:
        """Let nobody wait for word any more."""
        self._closed.set()
        self._news.set()
