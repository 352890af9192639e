"""Server-Sent Events of one job: what its status says, each time that it says something else.

The stream keeps no log. An event's id says what its receiver has seen, so that whoever comes back
with it, to whichever API, is sent what is different now:

    id: <number of the latest preview>-<digest of the latest status>

Source: the HTML standard, section 9.2, "Server-sent events".
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from api.presentation import preview_of
from api.watcher import Watcher
from jobs.status import JobSnapshot, JobState, JobStatus

HEARTBEAT_SECONDS = 1.0
"""After how long without news a comment is sent: the second one after a client has gone finds out,
and frees its thread."""
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
class Seen:
    """What a client has seen of a job.

    Attributes:
        status: a digest of the last status.
        previews: the number of the last preview.
    """

    status: str = ""
    previews: int = 0

    @classmethod
    def of(cls, event_id: str) -> Self:
        """Read the id of an event; whatever is none has seen nothing."""
        number, dash, status = event_id.partition("-")
        if not dash or not (number.isascii() and number.isdigit()) or len(number) > 18:
            return cls()
        return cls(status, int(number))

    def __str__(self) -> str:
        return f"{self.previews}-{self.status}"


def digest(data: str) -> str:
    """A status in few letters."""
    return hashlib.blake2s(data.encode(), digest_size=6).hexdigest()


def event_stream(
    watcher: Watcher,
    job_id: str,
    seen: Seen,
    told: Callable[[JobStatus], str],
    *,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> Iterator[str]:
    """The text of the stream, up to the end of the job.

    It ends before that when the job is no more, or the watcher stops.

    Args:
        watcher: looks at the job.
        job_id: the job.
        seen: what the client has seen already.
        told: a status as the JSON that a poll would be answered with, in one line.
        heartbeat_seconds: the longest silence.
    """
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    sight: JobSnapshot | None = None
    with watcher.watching(job_id) as job:
        while not job.over:
            news = job.news(sight, heartbeat_seconds)
            if news is None:
                yield ":\n\n"
                continue
            sight = news
            data = told(sight.status)
            if (status := digest(data)) != seen.status:
                seen = replace(seen, status=status)
                yield _event(EVENTS[sight.status.state], seen, data)
            if sight.status.state.final:
                return
            if sight.preview and sight.previews != seen.previews:
                seen = replace(seen, previews=sight.previews)
                shown = preview_of(job_id, sight.preview).model_dump_json()
                yield _event(PREVIEW, seen, shown)


def _event(name: str, seen: Seen, data: str) -> str:
    return f"id: {seen}\nevent: {name}\ndata: {data}\n\n"
