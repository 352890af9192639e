"""Keeps only the latest value of each running job."""

import threading
from typing import Generic, TypeVar

from worker.execution.active_job import ActiveJob

T = TypeVar("T")


class LatestValue(Generic[T]):
    """Hands the latest value of each job from the threads that sample to one that writes.

    Args:
        delay_seconds: time from the first value until `take` returns. A job that ends within that
            time is never written, and its sampling is not slowed down by writing.
    """

    def __init__(self, delay_seconds: float) -> None:
        self._delay = delay_seconds
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._closed = threading.Event()
        self._latest: dict[ActiveJob, T] = {}

    def put(self, job: ActiveJob, value: T) -> None:
        """Replace the value of a job. Never blocks."""
        with self._lock:
            self._latest[job] = value
        self._filled.set()

    def discard(self, job: ActiveJob) -> None:
        """Drop the value of a job that has ended, unless it was taken already."""
        with self._lock:
            self._latest.pop(job, None)

    def take(self) -> dict[ActiveJob, T]:
        """Wait for values and take them all; once closed, return without waiting."""
        self._filled.wait()
        self._closed.wait(self._delay)
        self._filled.clear()
        if self._closed.is_set():
            self._filled.set()
        with self._lock:
            latest, self._latest = self._latest, {}
        return latest

    def close(self) -> None:
        """Let `take` wait no longer."""
        self._closed.set()
        self._filled.set()
