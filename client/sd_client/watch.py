"""Watching a job: by the service's event stream if there is one, else by polling its status."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from sd_client.errors import ServiceUnavailable, UnexpectedAnswer, WaitTimeout
from sd_client.sse import Message, Retry, parse
from sd_client.status import Event, Preview, Status
from sd_client.transport import Transport

HEARTBEAT_INTERVAL = 15.0
"""Seconds. The service sends at least a comment this often."""
READ_TIMEOUT = 40.0
"""Seconds of silence after which a stream is broken, or a proxy buffers it."""
MAX_RECONNECTS = 3
"""How often in a row a stream may end without a message before the job is polled instead."""
MAX_RECONNECT_DELAY = 10.0
MIN_POLL_INTERVAL, MAX_POLL_INTERVAL = 0.1, 1.0
UNAVAILABLE_SECONDS = 60.0
"""How long polling continues without an answer. A restart of the service takes less."""


@dataclass(frozen=True)
class Deadline:
    """When waiting ends; `seconds` is None for never."""

    job_id: str
    seconds: float | None
    began: float

    @classmethod
    def after(cls, job_id: str, seconds: float | None) -> "Deadline":
        return cls(job_id, seconds, time.monotonic())

    @property
    def left(self) -> float:
        """Remaining seconds; negative after the deadline."""
        if self.seconds is None:
            return float("inf")
        return self.began + self.seconds - time.monotonic()

    def check(self) -> None:
        """Raise WaitTimeout after the deadline."""
        if self.seconds is not None and self.left <= 0:
            raise WaitTimeout(self.job_id, self.seconds)


def watch(transport: Transport, job_id: str, timeout: float | None = None) -> Iterator[Event]:
    """Every event of a job from now on; the last one is a final Status.

    Raises:
        WaitTimeout: the job has not ended after `timeout` seconds.
        ClientError: as `status_of`.
    """
    deadline = Deadline.after(job_id, timeout)
    for event in stream(transport, job_id, deadline):
        yield event
        if isinstance(event, Status) and event.state.final:
            return
    yield from poll(transport, job_id, deadline)


def status_of(transport: Transport, job_id: str) -> Status:
    """The status of a job, without its pictures. Raises ClientError."""
    answer = transport.json("GET", f"/status/{job_id}", params={"images": "false"})
    try:
        return Status.read(answer)
    except (KeyError, ValueError, TypeError) as error:
        raise UnexpectedAnswer(f"the status of job {job_id} cannot be read: {error}") from error


def stream(transport: Transport, job_id: str, deadline: Deadline) -> Iterator[Event]:
    """The events of `/events`, with reconnects. Ends early if there is no usable stream.

    A read blocks while the stream is silent, so this ends before the deadline, and polling takes
    the last seconds.
    """
    last_id, delay, failures = "", 1.0, 0
    while failures < MAX_RECONNECTS and deadline.left > 2 * HEARTBEAT_INTERVAL:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        try:
            with transport.stream(
                f"/events/{job_id}", headers, read_timeout=READ_TIMEOUT
            ) as response:
                if not _is_event_stream(response):
                    return
                for item in parse(response.iter_text()):
                    if isinstance(item, Message):
                        failures, last_id = 0, item.id or last_id
                        if event := _event(item):
                            yield event
                    elif isinstance(item, Retry):
                        delay = min(item.seconds, MAX_RECONNECT_DELAY)
                    if deadline.left < 2 * HEARTBEAT_INTERVAL:
                        return
        except (httpx.TransportError, httpx.DecodingError):
            pass
        except (KeyError, ValueError, TypeError):  # not an event of this service
            return
        failures += 1
        time.sleep(delay)


def poll(transport: Transport, job_id: str, deadline: Deadline) -> Iterator[Status]:
    """Every status that differs from the previous one, by GET `/status`."""
    last, answered, interval = None, time.monotonic(), MIN_POLL_INTERVAL
    while True:
        try:
            status = status_of(transport, job_id)
            answered = time.monotonic()
        except ServiceUnavailable:
            if time.monotonic() - answered > UNAVAILABLE_SECONDS:
                raise
            status = last
        if status is not None and status != last:
            last = status
            yield status
        if status is not None and status.state.final:
            return
        deadline.check()
        time.sleep(min(interval, max(deadline.left, 0)))
        interval = min(interval * 1.3, MAX_POLL_INTERVAL)


def _is_event_stream(response: httpx.Response) -> bool:
    media = response.headers.get("Content-Type", "").partition(";")[0].strip()
    return response.status_code == HTTPStatus.OK and media == "text/event-stream"


def _event(message: Message) -> Event | None:
    """The event of a message; None for a type that this client does not know."""
    match message.event:
        case "queued" | "loading" | "step" | "done" | "failed" | "cancelled":
            return Status.read(json.loads(message.data))
        case "preview":
            return Preview.read(json.loads(message.data))
        case _:
            return None
