"""Server-Sent Events of one job: its status each time that it changes, and its previews.

The server keeps no log of sent events. An event's id says what its receiver has seen, so any API
process can resume a stream by sending what has changed since:

    id: <number of the latest preview>-<digest of the latest status>

Source: the HTML standard, section 9.2, "Server-sent events".
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

from api.dialects.native.status_json import preview_json, status_json
from jobs.status import JobSnapshot, JobState

RETRY_MILLISECONDS = 1000
EVENTS = {
    JobState.PENDING: "queued",
    JobState.LOADING: "loading",
    JobState.PROGRESS: "step",
    JobState.SUCCESS: "done",
    JobState.FAILURE: "failed",
    JobState.CANCELLED: "cancelled",
}
PREVIEW = "preview"


@dataclass(frozen=True)
class EventId:
    """What a client has received.

    Attributes:
        status: a digest of the last status.
        previews: the number of the last preview.
    """

    status: str = ""
    previews: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an event's id; anything else counts as nothing received."""
        number, dash, status = text.partition("-")
        if not dash or not (number.isascii() and number.isdigit()) or len(number) > 18:
            return cls()
        return cls(status, int(number))

    def __str__(self) -> str:
        return f"{self.previews}-{self.status}"


def digest(data: str) -> str:
    """A short hash of a serialised status."""
    return hashlib.blake2s(data.encode(), digest_size=6).hexdigest()


def event_stream(
    snapshots: Iterable[JobSnapshot | None], last: EventId, dumps: Callable[[Any], str]
) -> Iterator[str]:
    """The text of the stream.

    Args:
        snapshots: of the job, as JobEvents has them; None sends a comment as heartbeat.
        last: what the client has received already.
        dumps: serialises JSON in one line.
    """
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    for snapshot in snapshots:
        if snapshot is None:
            yield ":\n\n"
            continue
        status = snapshot.status
        data = dumps(status_json(status))
        if (hashed := digest(data)) != last.status:
            last = replace(last, status=hashed)
            yield _event(EVENTS[status.state], last, data)
        if snapshot.preview and snapshot.previews != last.previews and not status.state.final:
            last = replace(last, previews=snapshot.previews)
            yield _event(PREVIEW, last, dumps(preview_json(status.job_id, snapshot.preview)))


def _event(name: str, event_id: EventId, data: str) -> str:
    return f"id: {event_id}\nevent: {name}\ndata: {data}\n\n"
