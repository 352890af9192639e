"""One look at the records for all who watch: a thread that reads every watched job together.

However many streams are open, Redis is asked once in a tenth of a second, and not at all when
there is none.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from jobs.errors import RecordsUnavailable
from jobs.record import JobRecords
from jobs.status import JobSnapshot, JobState

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.1
AWAY_SECONDS = 1.0
"""How long Redis is left alone after it did not answer."""


class WatchedJob:
    """A job that somebody watches, as it was last seen. Safe to share between threads."""

    def __init__(self) -> None:
        self.viewers = 0
        self._changed = threading.Condition()
        self._sight: JobSnapshot | None = None
        self._over = False

    @property
    def previews(self) -> int:
        """How many previews the job had when it was last seen."""
        return self._sight.previews if self._sight else 0

    @property
    def over(self) -> bool:
        """Whether nothing more will be seen of it."""
        return self._over

    def show(self, sight: JobSnapshot) -> None:
        """Tell all viewers what was seen, if it is news."""
        with self._changed:
            before = self._sight
            if before and (before.status, before.previews) == (sight.status, sight.previews):
                return
            # a preview that was not sent again is the one that was sent before
            if before and before.previews == sight.previews and _is_drawn(sight):
                sight = sight.model_copy(update={"preview": before.preview})
            self._sight = sight
            self._changed.notify_all()

    def end(self) -> None:
        """Tell all viewers that nothing more will be seen."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def news(self, known: JobSnapshot | None, seconds: float) -> JobSnapshot | None:
        """Wait for a sight that is not the one known; None when there is none in time."""
        with self._changed:
            came = self._changed.wait_for(
                lambda: self._over or self._sight is not known, timeout=seconds
            )
            return self._sight if came and self._sight is not known else None


class Watcher:
    """The jobs that are watched in this process.

    Args:
        records: where they are.
    """

    def __init__(self, records: JobRecords) -> None:
        self._records = records
        self._lock = threading.Lock()
        self._jobs: dict[str, WatchedJob] = {}
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, job_id: str) -> Iterator[WatchedJob]:
        """A job to be watched for the length of a with block."""
        with self._lock:
            job = self._jobs.setdefault(job_id, WatchedJob())
            job.viewers += 1
            # not before somebody watches: a thread does not survive the fork of a server
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
                self._thread.start()
        self._wanted.set()
        try:
            if self._stopped.is_set():
                job.end()
            yield job
        finally:
            with self._lock:
                job.viewers -= 1
                if not job.viewers:
                    del self._jobs[job_id]

    def stop(self) -> None:
        """End all that is watched, and all that will be. May be called by a signal's handler."""
        self._stopped.set()
        self._wanted.set()

    def _run(self) -> None:
        away = False
        while not self._stopped.is_set():
            self._wanted.wait()
            with self._lock:
                jobs = dict(self._jobs)
                if not jobs:
                    self._wanted.clear()
            try:
                self._look(jobs)
                away = False
            except RecordsUnavailable as error:
                if not away:
                    log.warning("watched jobs cannot be seen; trying on", reason=str(error))
                away = True
            except Exception:
                log.exception("looking at the watched jobs failed; it goes on")
            self._stopped.wait(AWAY_SECONDS if away else TICK_SECONDS)
        with self._lock:
            for job in self._jobs.values():
                job.end()

    def _look(self, jobs: dict[str, WatchedJob]) -> None:
        sights = self._records.snapshots({job_id: job.previews for job_id, job in jobs.items()})
        for job_id, job in jobs.items():
            if sight := sights.get(job_id):
                job.show(sight)
            else:
                job.end()


def _is_drawn(sight: JobSnapshot) -> bool:
    return sight.status.state is JobState.PROGRESS
