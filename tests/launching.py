"""Runs the launcher from its command line."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.processes import eventually, slowness

START_SECONDS = 240
"""Seconds for importing everything on a busy machine."""
READY_SECONDS = 6
"""Seconds in which two idle cores start all processes, without loading a model."""


class Launcher:
    """`python -m launcher ...` in a process of its own."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        self._began = time.monotonic()
        self.slowness = 1.0
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "launcher", *arguments],
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # under nohup pytest ignores SIGHUP, and so would its children
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509
            )

    @property
    def said(self) -> str:
        """Its output so far."""
        return self._log.read_text()

    def wait_until_it_says(self, text: str) -> None:
        def said_or_dead() -> bool:
            return text in self.said or self.process.poll() is not None

        eventually(said_or_dead, START_SECONDS)
        if text not in self.said:
            self.process.kill()  # the kernel ends its children with it
            raise AssertionError(f"it did not say {text!r}:\n{self.said}")
        self.slowness = slowness(time.monotonic() - self._began, READY_SECONDS)

    def wait(self, seconds: float = START_SECONDS) -> int:
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not end:\n{self.said}") from None
