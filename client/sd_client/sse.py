"""Server-Sent Events, as the HTML standard has them: text that comes in pieces, to messages."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_END_OF_LINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Message:
    """One message of a stream.

    Attributes:
        event: its kind.
        data: its lines, joined.
        id: the last id that the stream has told, for `Last-Event-ID`.
    """

    event: str
    data: str
    id: str


@dataclass(frozen=True)
class Retry:
    """The stream says how long to wait before it is opened again."""

    seconds: float


@dataclass(frozen=True)
class Heartbeat:
    """A comment: the stream is alive, and has nothing to tell."""


def parsed(pieces: Iterable[str]) -> Iterator[Message | Retry | Heartbeat]:
    """Everything a stream says, in order; an unfinished message at its end is dropped."""
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
    """Lines that end in CR LF, LF or CR, and in nothing else: str.splitlines knows more ends."""
    rest, first = "", True
    for piece in pieces:
        rest += piece.removeprefix("\ufeff") if first else piece
        first = False
        # A CR at the end of a piece may be the half of a CR LF.
        whole, kept = (rest[:-1], "\r") if rest.endswith("\r") else (rest, "")
        *lines, rest = _END_OF_LINE.split(whole)
        rest += kept
        yield from lines
    if rest.endswith("\r"):
        yield rest[:-1]
