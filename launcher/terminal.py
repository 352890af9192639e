"""Writes the services' logs to standard output, each line with its service's name."""

import json
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from jobs.logs import printable

COLOURS = (36, 32, 33, 35, 34)
WIDTH = 9


class Log(Protocol):
    """Writes lines of all services; callable from any thread."""

    def __call__(self, service: str, line: str) -> None:
        """Write a line of a service."""
        ...

    def plain(self, text: str) -> None:
        """Write a text without a service's name, such as a command to copy."""
        ...


class PrefixedLog:
    """Writes `name | line`, for people."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}
        self._coloured = sys.stdout.isatty()

    def __call__(self, service: str, line: str) -> None:
        self.plain(f"{self._prefix(service)} {printable(line)}")

    def plain(self, text: str) -> None:
        with self._lock, suppress(OSError, ValueError):  # the reader has gone; keep running
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def _prefix(self, service: str) -> str:
        prefix = f"{service:<{WIDTH}}|"
        if not self._coloured:
            return prefix
        colour = self._colours.setdefault(service, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\033[{colour}m{prefix}\033[0m"


class JsonLog:
    """Writes one JSON object a line: the service's own event, and `service`."""

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
    """A log that writes in this format."""
    return JsonLog() if log_format == "json" else PrefixedLog()


def _event(line: str) -> dict[str, Any]:
    """The event of a line. Valkey writes plain text, the other services JSON."""
    with suppress(ValueError):
        if isinstance(event := json.loads(line), dict):
            return event
    return {"timestamp": datetime.now(UTC).isoformat(), "level": "info", "event": line}
