"""The services' logs on the terminal, each line under its service's name."""

import sys
import threading
from contextlib import suppress

COLOURS = (36, 32, 33, 35, 34)
WIDTH = 9


class PrefixedLog:
    """Writes `name | line` to the standard output; callable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}
        self._coloured = sys.stdout.isatty()

    def __call__(self, service: str, line: str) -> None:
        self.plain(f"{self._prefix(service)} {line}")

    def plain(self, text: str) -> None:
        """Write a text that stands for itself, such as a command to be copied."""
        with self._lock, suppress(OSError, ValueError):  # nobody reads any more: run on
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def _prefix(self, service: str) -> str:
        prefix = f"{service:<{WIDTH}}|"
        if not self._coloured:
            return prefix
        colour = self._colours.setdefault(service, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\033[{colour}m{prefix}\033[0m"
