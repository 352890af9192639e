"""The services' logs on the standard output, each line under its service's name."""

import json
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

COLOURS = (36, 32, 33, 35, 34)
WIDTH = 9


class Log(Protocol):
    """Where all services' lines go; callable from any thread."""

    def __call__(self, service: str, line: str) -> None:
        """Write a line of a service."""
        ...

    def plain(self, text: str) -> None:
        """Write a text that stands for itself, such as a command to be copied."""
        ...


class PrefixedLog:
    """Writes `name | line`, for people."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}
        self._coloured = sys.stdout.isatty()

    def __call__(self, service: str, line: str) -> None:
        self.plain(f"{self._prefix(service)} {line}")

    def plain(self, text: str) -> None:
        with self._lock, suppress(OSError, ValueError):  # nobody reads any more: run on
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def _prefix(self, service: str) -> str:
        prefix = f"{service:<{WIDTH}}|"
        if not self._coloured:
            return prefix
        colour = self._colours.setdefault(service, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\033[{colour}m{prefix}\033[0m"


class JsonLog:
    """Writes one JSON object a line, for machines: what a service wrote, and its name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, service: str, line: str) -> None:
        written = json.dumps({**_event(line), "service": service})
        with self._lock, suppress(OSError, ValueError):
            sys.stdout.write(f"{written}\n")
            sys.stdout.flush()

    def plain(self, text: str) -> None:
        self("launcher", text.strip())


def log_of(log_format: Literal["text", "json"]) -> Log:
    """The log in a format."""
    return JsonLog() if log_format == "json" else PrefixedLog()


def _event(line: str) -> dict[str, Any]:
    """A line as an event: most services write one themselves, Valkey does not."""
    with suppress(ValueError):
        if isinstance(event := json.loads(line), dict):
            return event
    return {"timestamp": datetime.now(UTC).isoformat(), "level": "info", "event": line}
