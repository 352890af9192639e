"""One process of the service, in its own process group; it dies with the launcher."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PARENT_DEATH_SIGNAL = Path(__file__).with_name("parent_death_signal.py")

Output = Callable[[str, str], None]
"""Called with a service's name and one line of its output."""


class Service:
    """A process and its output.

    In its own process group it gets no SIGINT from the terminal (the launcher stops the services
    in order), and `kill` reaches its child processes too.
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
            name: its name in messages.
            command: the program and its arguments.
            output: called from a thread with every line that the process writes.
            environment: variables in addition to the launcher's.
            standard_input: all of its standard input.
            cores: the cores that it may run on; empty: all of the launcher's.
        """
        self.name = name
        self._output = output
        self._last_lines: deque[str] = deque(maxlen=20)
        self._process = subprocess.Popen(
            [*_parent_death_signal(cores), *command],
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
        """The process's id, which is also its group's."""
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def terminate(self) -> None:
        """Send SIGTERM to the process."""
        self._process.terminate()

    def kill(self) -> int:
        """Send SIGKILL to the process group, and relay its last lines, which may be in the pipe.

        Returns the exit status, as Popen's.
        """
        with suppress(ProcessLookupError, PermissionError):  # the group has ended
            os.killpg(self.pid, signal.SIGKILL)
        status = self._process.wait()
        self._relaying.join(timeout=5)
        return status

    def exit_message(self) -> str:
        """How the process ended, and its last line. Only for a process that is not running."""
        status = self.kill()
        if status < 0:
            return f"{self.name} was killed by {signal.Signals(-status).name}"
        last = next((line for line in reversed(self._last_lines) if line.strip()), "")
        return f"{self.name} ended with exit code {status}" + (f": {last.strip()}" if last else "")

    def _feed(self, text: str) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died at once; `running` shows it
            self._process.stdin.write(text)
            self._process.stdin.close()

    def _relay(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._last_lines.append(line.rstrip("\n"))
            self._output(self.name, line.rstrip("\n"))


def _parent_death_signal(cores: Collection[int]) -> list[str]:
    python = [sys.executable, "-I", "-S", str(PARENT_DEATH_SIGNAL)]
    return [*python, str(os.getpid()), ",".join(str(core) for core in sorted(cores))]
