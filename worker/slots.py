"""The slots of a worker: how many jobs it runs at once, and the jobs it draws without a message."""

import threading
from collections.abc import Callable, Sequence

from jobs.names import JobType
from jobs.records.claim import Claim

_POLL_SECONDS = 0.2


class Slots:
    """Shared by Celery's threads, one for each message, and by the threads that need no message.

    A message can be lost, or the broker can refuse it, for instance because its memory is full. The
    records hold the jobs: a free slot then draws from them until no job waits.

    Args:
        claim: claims the next job of a type.
        execute: executes it to its end.
        leaving: whether the worker shuts down.
    """

    def __init__(
        self,
        claim: Callable[[JobType], Claim | None],
        execute: Callable[[Claim], object],
        leaving: Callable[[], bool],
    ) -> None:
        self._claim = claim
        self._execute = execute
        self._leaving = leaving
        self._free = threading.Semaphore(0)
        self._types: Sequence[JobType] = ()
        self._threads: list[threading.Thread] = []

    def open(self, count: int, types: Sequence[JobType]) -> None:
        """Let jobs of these types run, so many at once."""
        self._types = types
        self._free.release(count)

    def execute_next(self, job_type: JobType) -> None:
        """Wait for a slot, and execute the next job of a type; not while the worker shuts down."""
        while not self._free.acquire(timeout=_POLL_SECONDS):
            if self._leaving():
                return
        try:
            self._next(job_type)
        finally:
            self._free.release()

    def draw(self, jobs: int) -> int:
        """Execute waiting jobs in the free slots, until none waits.

        Args:
            jobs: how many wait.

        Returns:
            How many slots were free.
        """
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for number in range(jobs):
            if not self._free.acquire(blocking=False):
                return number
            thread = threading.Thread(target=self._draw_all, name="draw", daemon=True)
            thread.start()
            self._threads.append(thread)
        return jobs

    def wait(self) -> None:
        """Wait until no job drawn here runs."""
        for thread in self._threads:
            thread.join()

    def _draw_all(self) -> None:
        """Execute jobs of all types in turn, in a slot that is taken."""
        try:
            while any([self._next(job_type) for job_type in self._types]):
                pass
        finally:
            self._free.release()

    def _next(self, job_type: JobType) -> bool:
        """Whether there was a job to execute."""
        if self._leaving() or (claim := self._claim(job_type)) is None:
            return False
        self._execute(claim)
        return True
