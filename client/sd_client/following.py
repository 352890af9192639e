"""What happens to a job: told by the service's events where they can be had, else by asking."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from sd_client.errors import ServiceUnavailable, UnexpectedAnswer, WaitTimeout
from sd_client.sse import Message, Retry, parsed
from sd_client.status import Event, Preview, Status
from sd_client.transport import Transport

HEARTBEAT_SECONDS = 15.0
"""A stream is never silent for longer than this."""
SILENCE_SECONDS = 40.0
"""One that is for so long is broken, or held back by something in between."""
REOPENINGS = 3
"""How often in a row a stream may break without a message, before the job is asked instead."""
LONGEST_REOPENING = 10.0
FIRST_POLL, LONGEST_POLL = 0.1, 1.0
PATIENCE = 60.0
"""Seconds without any answer after which waiting ends. A restart of the service takes less."""


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
        """Seconds."""
        if self.seconds is None:
            return float("inf")
        return self.began + self.seconds - time.monotonic()

    def check(self) -> None:
        """Raises WaitTimeout."""
        if self.seconds is not None and self.left <= 0:
            raise WaitTimeout(self.job_id, self.seconds)


def follow(transport: Transport, job_id: str, timeout: float | None = None) -> Iterator[Event]:
    """Everything that happens to a job from now on; the last one is a final Status.

    Raises:
        WaitTimeout: it has not ended in `timeout` seconds.
        ClientError: as asking for the status does.
    """
    deadline = Deadline.after(job_id, timeout)
    for event in told(transport, job_id, deadline):
        yield event
        if isinstance(event, Status) and event.state.final:
            return
    yield from asked(transport, job_id, deadline)


def status_of(transport: Transport, job_id: str) -> Status:
    """How a job is doing, without its pictures. Raises ClientError."""
    answer = transport.json("GET", f"/status/{job_id}", params={"images": "false"})
    try:
        return Status.read(answer)
    except (KeyError, ValueError, TypeError) as error:
        raise UnexpectedAnswer(f"the status of job {job_id} cannot be read: {error}") from error


def told(transport: Transport, job_id: str, deadline: Deadline) -> Iterator[Event]:
    """By events, reopened where they broke off; ends early when there is no way to have them.

    A read blocks for as long as the stream is silent, so the last seconds are left to asking.
    """
    last_id, pause, broken = "", 1.0, 0
    while broken < REOPENINGS and deadline.left > 2 * HEARTBEAT_SECONDS:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        try:
            with transport.stream(
                f"/events/{job_id}", headers, silence=SILENCE_SECONDS
            ) as response:
                if not _is_stream(response):
                    return
                for said in parsed(response.iter_text()):
                    if isinstance(said, Message):
                        broken, last_id = 0, said.id or last_id
                        if event := _event(said):
                            yield event
                    elif isinstance(said, Retry):
                        pause = min(said.seconds, LONGEST_REOPENING)
                    if deadline.left < 2 * HEARTBEAT_SECONDS:
                        return
        except (httpx.TransportError, httpx.DecodingError):
            pass
        except (KeyError, ValueError, TypeError):  # no event of this service
            return
        broken += 1
        time.sleep(pause)


def asked(transport: Transport, job_id: str, deadline: Deadline) -> Iterator[Status]:
    """By polling: every status that differs from the one before."""
    last, heard, pause = None, time.monotonic(), FIRST_POLL
    while True:
        try:
            status = status_of(transport, job_id)
            heard = time.monotonic()
        except ServiceUnavailable:
            if time.monotonic() - heard > PATIENCE:
                raise
            status = last
        if status is not None and status != last:
            last = status
            yield status
        if status is not None and status.state.final:
            return
        deadline.check()
        time.sleep(min(pause, max(deadline.left, 0)))
        pause = min(pause * 1.3, LONGEST_POLL)


def _is_stream(response: httpx.Response) -> bool:
    media = response.headers.get("Content-Type", "").partition(";")[0].strip()
    return response.status_code == HTTPStatus.OK and media == "text/event-stream"


def _event(message: Message) -> Event | None:
    """None for a kind that is not known here."""
    match message.event:
        case "queued" | "loading" | "step" | "done" | "failed" | "cancelled":
            return Status.read(json.loads(message.data))
        case "preview":
            said = json.loads(message.data)
            return Preview(
                **{name: said[name] for name in ("step", "steps", "image", "width", "height")},
                data=base64.b64decode(said["Preview"].partition(",")[2]),
            )
        case _:
            return None
