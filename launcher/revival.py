"""Workers that are started again when they die, after a pause that grows with every death."""

import time
from collections.abc import Callable

from launcher.service import Output, Service

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
STEADY_SECONDS = 60.0
"""A worker that has lived so long is not blamed for its last death."""


class Revival:
    """One worker's place, which is filled again. Every call belongs into the main thread.

    Args:
        service: the worker as it was first started.
        start: starts another.
        output: where deaths and returns are told.
    """

    def __init__(self, service: Service, start: Callable[[], Service], *, output: Output) -> None:
        self.service = service
        self._start = start
        self._output = output
        self._started = time.monotonic()
        self._pause = FIRST_PAUSE
        self._due: float | None = None

    def look_after(self) -> None:
        """Tell of a death and start another when its pause is over. Never waits."""
        now = time.monotonic()
        if self._due is not None:
            if now >= self._due:
                self._due = None
                self.service = self._start()
                self._started = time.monotonic()
        elif not self.service.running():
            if now - self._started > STEADY_SECONDS:
                self._pause = FIRST_PAUSE
            self._output(
                "launcher",
                f"{self.service.obituary()}; it is started again in {self._pause:.0f} s",
            )
            self._due = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
