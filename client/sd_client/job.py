"""A submitted job: its status, its events, its pictures, and its cancellation."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from os import PathLike
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sd_client.errors import BadArgument, Conflict, JobCancelled, JobFailed, NoSuchJob
from sd_client.pictures import GRID, Picture, save_all
from sd_client.status import Event, State, Status
from sd_client.transport import Transport
from sd_client.watch import status_of, watch

CancelResult = Literal["cancelled", "stopping"]


class Job:
    """A handle, from a `submit_...` of `Client`, from `recent` or from `job`.

    Attributes:
        id: its `task_id`. Everyone with the id can see the pictures.
        model: name of the model; empty for a handle made from an id.
        warnings: parameters that the service ignored or changed.
    """

    def __init__(
        self, transport: Transport, job_id: str, model: str = "", warnings: tuple[str, ...] = ()
    ) -> None:
        if not job_id or quote(job_id, safe="") != job_id:
            raise BadArgument(f"{job_id!r} is not the id of a job: give its `task_id`")
        self._transport = transport
        self.id = job_id
        self.model = model
        self.warnings = warnings

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def status(self) -> Status:
        """Its status now. Raises NoSuchJob, JobExpired or another ClientError."""
        return status_of(self._transport, self.id)

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Each Status and each Preview until its end. Raises WaitTimeout, ClientError."""
        return watch(self._transport, self.id, timeout)

    def wait(
        self,
        on_event: Callable[[Event], object] | None = None,
        timeout: float | None = None,
    ) -> Status:
        """Wait for its end.

        Args:
            on_event: called with every Status and every Preview.
            timeout: seconds; None: no limit.

        Returns:
            its final status.

        Raises:
            JobFailed, JobCancelled: it ended without pictures.
            WaitTimeout: it continues.
            ClientError.
        """
        status = None
        for event in self.events(timeout):
            if on_event is not None:
                on_event(event)
            if isinstance(event, Status):
                status = event
        if status is None:
            status = self.status()
        return successful(status)

    def cancel(self) -> CancelResult:
        """Cancel it. Returns `cancelled` if it waited, `stopping` if it was running.

        Returns `cancelled` for a cancelled job. Raises Conflict if the job succeeded or failed,
        NoSuchJob if it belongs to another key.
        """
        try:
            response = self._transport.send("POST", f"/cancel/{self.id}")
        except Conflict:
            # a repeated request after a lost answer gets here too
            if self.status().state is State.CANCELLED:
                return "cancelled"
            raise
        return "cancelled" if response.status_code == HTTPStatus.OK else "stopping"

    def pictures(self, status: Status | None = None) -> list[Picture]:
        """Its pictures in order, the grid last if one was requested.

        Args:
            status: its final status; None: get it first.

        Raises:
            JobFailed, JobCancelled: it has none. NoSuchJob: it has not ended. JobExpired.
        """
        status = status or self.status()
        if not status.state.final:
            raise NoSuchJob(f"job {self.id} has not ended ({status.message}): wait for it first")
        successful(status)
        return [self._picture(path, status) for path in status.images]

    def save(self, path: str | PathLike[str]) -> list[Path]:
        """Fetch its pictures and save them; see `save_all`. Returns the files."""
        return save_all(self.pictures(), path)

    def _picture(self, path: str, status: Status) -> Picture:
        name = path.rpartition("/")[2]
        index = None if name == GRID else int(name)
        return Picture(
            job_id=self.id,
            index=index,
            data=self._transport.send("GET", path).content,
            format=status.format or "png",
            # an enlarged picture has no seed
            seed=None if index is None or not status.seeds else status.seeds[index],
        )


def successful(status: Status) -> Status:
    """The status itself. Raises JobFailed for a failed job, JobCancelled for a cancelled one."""
    match status.state:
        case State.FAILURE:
            message = status.error or status.message
            raise JobFailed(status.job_id, message, status.code or "")
        case State.CANCELLED:
            raise JobCancelled(status.job_id)
        case _:
            return status
