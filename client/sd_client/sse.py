"""A parser of Server-Sent Events, as in the HTML standard."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_END_OF_LINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Message:
    """One message of a stream.

    Attributes:
        event: its type.
        data: its lines, joined by newlines.
        id: the last id in the stream so far, for the header `Last-Event-ID`.
    """

    event: str
    data: str
    id: str


@dataclass(frozen=True)
class Retry:
    """How long to wait before a reconnect."""

    seconds: float


@dataclass(frozen=True)
class Heartbeat:
    """A comment, which keeps the connection alive."""


def parse(pieces: Iterable[str]) -> Iterator[Message | Retry | Heartbeat]:
    """Parse text that arrives in pieces; drops an incomplete message at the end."""
    event, data, last_id = "", list[str](), ""
    for line in _lines(pieces):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Message(event or "message", "\n".join(data), last_id)
            event, data = "", []
        elif not name:
            yield Heartbeat()
        elif name == "event":
            event = value
        elif name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            last_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            yield Retry(int(value) / 1000)


def _lines(pieces: Iterable[str]) -> Iterator[str]:
    """Lines that end in CR LF, LF or CR only; str.splitlines splits at other characters too."""
    rest, first = "", True
    for piece in pieces:
        rest += piece.removeprefix("\ufeff") if first else piece
        first = False
        # A CR at the end of a piece may be the first half of a CR LF.
        whole, kept = (rest[:-1], "\r") if rest.endswith("\r") else (rest, "")
        *lines, rest = _END_OF_LINE.split(whole)
        rest += kept
        yield from lines
    if rest.endswith("\r"):
        yield rest[:-1]
