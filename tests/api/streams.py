"""A client of Server-Sent Events that reads one event after the other."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Event:
    """An event as it came."""

    id: str
    name: str
    data: dict[str, Any]


class EventStream:
    """An open stream.

    Attributes:
        answer: the head of the HTTP answer.
        comments: how many have come so far.
    """

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.comments = 0
        self._lines = answer.iter_lines()
        assert next(self._lines).startswith("retry: ")
        assert next(self._lines) == ""

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        """The next event. Raises StopIteration when the server has ended the stream in order."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                assert name in ("id", "event", "data")
                assert name not in fields
                fields[name] = value
            elif fields:
                return Event(fields["id"], fields["event"], json.loads(fields["data"]))
        raise StopIteration

    def until(self, name: str) -> Event:
        """The next event of this name, whatever comes before it."""
        return next(event for event in self if event.name == name)

    def heartbeat(self) -> None:
        """Wait for the next comment. No event may come before it."""
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
                return
            assert not line, f"an event came: {line}"


@contextmanager
def events(client: httpx.Client, job_id: str, last: str | None = None) -> Iterator[EventStream]:
    """The stream of a job, from the event after the `last` on; waits for a place."""
    headers = {} if last is None else {"Last-Event-ID": last}
    deadline = time.monotonic() + 120
    while True:
        with client.stream("GET", f"/events/{job_id}", headers=headers) as answer:
            if answer.status_code == 200:
                yield EventStream(answer)
                return
            assert answer.status_code == 503, answer.read()
            assert time.monotonic() < deadline, "no place in time"
        time.sleep(0.1)
