"""Restarts workers that die, after a delay that doubles with every death."""

import time
from collections.abc import Callable

from launcher.service import Output, Service

FIRST_DELAY = 1.0
MAX_DELAY = 60.0
RESET_AFTER = 60.0
"""Seconds that a worker must have run for the delay to start again at FIRST_DELAY."""


class Restarter:
    """One worker and its successors. Call it from the main thread only.

    Args:
        service: the worker as it was first started.
        start: starts a successor.
        output: gets a line for every death.
    """

    def __init__(self, service: Service, start: Callable[[], Service], *, output: Output) -> None:
        self.service = service
        self._start = start
        self._output = output
        self._started = time.monotonic()
        self._delay = FIRST_DELAY
        self._due: float | None = None

    def check(self) -> None:
        """Report a death, or start the successor when it is due. Never waits."""
        now = time.monotonic()
        if self._due is not None:
            if now >= self._due:
                self._due = None
                self.service = self._start()
                self._started = time.monotonic()
        elif not self.service.running():
            if now - self._started > RESET_AFTER:
                self._delay = FIRST_DELAY
            self._output(
                "launcher", f"{self.service.exit_message()}; restarting in {self._delay:.0f} s"
            )
            self._due = now + self._delay
            self._delay = min(2 * self._delay, MAX_DELAY)
