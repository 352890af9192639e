"""One thread that polls the records of all jobs with subscribers.

However many event streams are open, Redis gets one request every 0.1 s, and none while no stream
is open.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from jobs.errors import RecordsUnavailable
from jobs.records.record import JobRecords
from jobs.status import JobSnapshot, JobState

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0
"""How long to wait after Redis did not answer."""


class PolledJob:
    """A job with subscribers, and its latest snapshot. Safe to share between threads."""

    def __init__(self) -> None:
        self.subscribers = 0
        self._changed = threading.Condition()
        self._latest: JobSnapshot | None = None
        self._ended = False

    @property
    def previews(self) -> int:
        """How many previews the latest snapshot counts."""
        return self._latest.previews if self._latest else 0

    @property
    def ended(self) -> bool:
        """Whether no more snapshots will come."""
        return self._ended

    def publish(self, snapshot: JobSnapshot) -> None:
        """Wake all subscribers if the snapshot differs from the latest."""
        with self._changed:
            before = self._latest
            if before and (before.status, before.previews) == (snapshot.status, snapshot.previews):
                return
            # Redis does not send a preview again that this process has read.
            running = snapshot.status.state is JobState.PROGRESS
            if before and before.previews == snapshot.previews and running:
                snapshot = snapshot.model_copy(update={"preview": before.preview})
            self._latest = snapshot
            self._changed.notify_all()

    def end(self) -> None:
        """Wake all subscribers: no more snapshots will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for_change(self, known: JobSnapshot | None, seconds: float) -> JobSnapshot | None:
        """Wait for a snapshot other than the known one; None if there is none in time."""
        with self._changed:
            changed = self._changed.wait_for(
                lambda: self._ended or self._latest is not known, timeout=seconds
            )
            return self._latest if changed and self._latest is not known else None


class StatusPoller:
    """Polls the jobs that this process has subscribers for.

    Args:
        records: the jobs' records.
    """

    def __init__(self, records: JobRecords) -> None:
        self._records = records
        self._lock = threading.Lock()
        self._jobs: dict[str, PolledJob] = {}
        self._has_jobs = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def subscribe(self, job_id: str) -> Iterator[PolledJob]:
        """A job that is polled for the length of a with block."""
        with self._lock:
            job = self._jobs.setdefault(job_id, PolledJob())
            job.subscribers += 1
            # Started on first use: a thread does not survive the fork of a server.
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
                self._thread.start()
        self._has_jobs.set()
        try:
            if self._stopped:
                job.end()
            yield job
        finally:
            with self._lock:
                job.subscribers -= 1
                if not job.subscribers:
                    del self._jobs[job_id]

    def stop(self) -> None:
        """End all subscriptions soon, and from now on. A signal handler may call it: no lock."""
        self._stopped = True

    def _run(self) -> None:
        unavailable = False
        while not self._stopped:
            self._has_jobs.wait()
            with self._lock:
                jobs = dict(self._jobs)
                if not jobs:
                    self._has_jobs.clear()
            try:
                self._poll(jobs)
                unavailable = False
            except RecordsUnavailable as error:
                if not unavailable:
                    log.warning("polling jobs failed; retrying", reason=str(error))
                unavailable = True
            except Exception:
                log.exception("polling jobs failed; continuing")
            time.sleep(RETRY_SECONDS if unavailable else POLL_SECONDS)
        with self._lock:
            for job in self._jobs.values():
                job.end()

    def _poll(self, jobs: dict[str, PolledJob]) -> None:
        snapshots = self._records.snapshots({job_id: job.previews for job_id, job in jobs.items()})
        for job_id, job in jobs.items():
            if snapshot := snapshots.get(job_id):
                job.publish(snapshot)
            else:
                job.end()
