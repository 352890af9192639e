"""The changes of one job, as a stream that a dialect formats."""

from collections.abc import Callable, Iterator

from api.status_poller import StatusPoller
from jobs.status import JobSnapshot

HEARTBEAT_SECONDS = 1.0
"""The longest silence, and the longest time that a client's place is held when it has gone."""


class JobEvents:
    """Iterates over the snapshots of a job until it ends, is deleted, or the service closes.

    A snapshot comes each time the status or the preview has changed; None comes after
    `HEARTBEAT_SECONDS` without a change.

    Args:
        poller: reads the job.
        job_id: the job.
        on_close: called once by `close`.
        abandoned: whether nobody wants the snapshots any more.
    """

    def __init__(
        self,
        poller: StatusPoller,
        job_id: str,
        *,
        on_close: Callable[[], None],
        abandoned: Callable[[], bool] = lambda: False,
    ) -> None:
        self._poller = poller
        self._job_id = job_id
        self._on_close = on_close
        self._abandoned = abandoned
        self._closed = False

    def __iter__(self) -> Iterator[JobSnapshot | None]:
        latest: JobSnapshot | None = None
        with self._poller.subscribe(self._job_id) as job:
            while not job.ended:
                changed = job.wait_for_change(latest, HEARTBEAT_SECONDS)
                if self._abandoned():
                    return
                yield changed
                if changed is not None:
                    latest = changed
                    if latest.status.state.final:
                        return

    def close(self) -> None:
        """Free the stream's slot. Calling it again does nothing."""
        if not self._closed:
            self._closed = True
            self._on_close()
