"""One process of the service: started on a leash, in a process group of its own."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LEASH = Path(__file__).with_name("leash.py")

Output = Callable[[str, str], None]
"""Called with the service's name and one line that it wrote."""


class Service:
    """A running process and what it says.

    Its own process group keeps the terminal's Ctrl-C away from it (the launcher ends the services
    in order) and lets `kill` reach whatever it started in turn.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        output: Output,
        environment: Mapping[str, str] | None = None,
        standard_input: str = "",
        cores: Collection[int] = (),
    ) -> None:
        """Start the process.

        Args:
            name: what it is called in messages.
            command: the program and its arguments.
            output: called with every line it writes, from a thread.
            environment: variables beside our own.
            standard_input: what it can read; then the input ends.
            cores: the cores it may run on; empty: all of ours.
        """
        self.name = name
        self._output = output
        self._last_lines: deque[str] = deque(maxlen=20)
        self._process = subprocess.Popen(
            [*_leash(cores), *command],
            env={**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._feed(standard_input)
        self._relaying = threading.Thread(target=self._relay, name=f"{name} output", daemon=True)
        self._relaying.start()

    @property
    def pid(self) -> int:
        """The process's number, which is its group's as well."""
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def kill(self) -> int:
        """End the process and all of its group, now. Returns the exit status, as Popen's."""
        with suppress(ProcessLookupError, PermissionError):  # nobody is left of it
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()

    def obituary(self) -> str:
        """How the process ended, in one line. Only for one that is not running."""
        status = self.kill()
        self._relaying.join(timeout=1)  # its last words may still be on their way
        if status < 0:
            return f"{self.name} was killed by {signal.Signals(-status).name}"
        said = next((line for line in reversed(self._last_lines) if line.strip()), "")
        return f"{self.name} ended with exit code {status}" + (f": {said.strip()}" if said else "")

    def _feed(self, text: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once; `running` will tell
            self._process.stdin.write(text)
            self._process.stdin.close()

    def _relay(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._last_lines.append(line.rstrip("\n"))
            self._output(self.name, line.rstrip("\n"))


def _leash(cores: Collection[int]) -> list[str]:
    python = [sys.executable, "-I", "-S", str(LEASH)]
    return [*python, str(os.getpid()), ",".join(str(core) for core in sorted(cores))]
