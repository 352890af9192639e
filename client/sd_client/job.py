"""A job that was taken in: how it is asked, waited for, stopped and fetched."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from os import PathLike
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sd_client.errors import BadArgument, Conflict, JobCancelled, JobFailed, NoSuchJob
from sd_client.following import follow, status_of
from sd_client.pictures import GRID, Picture, save_all
from sd_client.status import Event, State, Status
from sd_client.transport import Transport

Stopped = Literal["cancelled", "stopping"]


class Job:
    """A handle; made by `Client.submit_generate`, `submit_img2img`, `recent` and `job`.

    Attributes:
        id: its `task_id`. Whoever knows it sees its pictures.
        model: the model it is drawn with; empty if this handle was made of an id.
        warnings: what could not be honoured to the letter.
    """

    def __init__(
        self, transport: Transport, job_id: str, model: str = "", warnings: tuple[str, ...] = ()
    ) -> None:
        if not job_id or quote(job_id, safe="") != job_id:
            raise BadArgument(f"{job_id!r} is no id of a job: give the `task_id` of one")
        self._transport = transport
        self.id = job_id
        self.model = model
        self.warnings = warnings

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def status(self) -> Status:
        """How it is doing. Raises NoSuchJob, JobExpired and other ClientErrors."""
        return status_of(self._transport, self.id)

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Each Status and each Preview from now to its end. Raises WaitTimeout, ClientError."""
        return follow(self._transport, self.id, timeout)

    def wait(
        self,
        on_event: Callable[[Event], object] | None = None,
        timeout: float | None = None,
    ) -> Status:
        """Wait until it is finished.

        Args:
            on_event: is called with every Status and every Preview.
            timeout: seconds; None waits for ever.

        Returns:
            its final status.

        Raises:
            JobFailed, JobCancelled: it has ended without pictures.
            WaitTimeout: it goes on.
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

    def cancel(self) -> Stopped:
        """Stop it: `cancelled` if it waited, `stopping` if it runs.

        One that is cancelled already stays so. Raises Conflict if it has ended otherwise, NoSuchJob
        if it is not this key's.
        """
        try:
            response = self._transport.send("POST", f"/cancel/{self.id}")
        except Conflict:
            # also when the answer to a first asking was lost
            if self.status().state is State.CANCELLED:
                return "cancelled"
            raise
        return "cancelled" if response.status_code == HTTPStatus.OK else "stopping"

    def pictures(self, status: Status | None = None) -> list[Picture]:
        """Its pictures in their order, and last the grid if one was asked for.

        Args:
            status: its final status, if it is at hand.

        Raises:
            JobFailed, JobCancelled: it has none. NoSuchJob: it is not finished. JobExpired.
        """
        status = status or self.status()
        if not status.state.final:
            raise NoSuchJob(f"job {self.id} is not finished ({status.message}): wait for it first")
        successful(status)
        return [self._picture(address, status) for address in status.images]

    def save(self, path: str | PathLike[str]) -> list[Path]:
        """Fetch its pictures and save them under one name, as `save_all` does."""
        return save_all(self.pictures(), path)

    def _picture(self, address: str, status: Status) -> Picture:
        name = address.rpartition("/")[2]
        index = None if name == GRID else int(name)
        return Picture(
            job_id=self.id,
            index=index,
            data=self._transport.send("GET", address).content,
            format=status.format or "png",
            seed=None if index is None else status.seeds[index],
        )


def successful(status: Status) -> Status:
    """A final status of a job with pictures. Raises JobFailed, JobCancelled."""
    match status.state:
        case State.FAILURE:
            message = status.error or status.message
            raise JobFailed(status.job_id, message, status.code or "")
        case State.CANCELLED:
            raise JobCancelled(status.job_id)
        case _:
            return status
