"""One process of the service."""

import os
import signal
import subprocess
import sys
import time

from launcher.service import Service
from tests.processes import MARK, eventually, marked

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up')\n"
FOREVER = "time.sleep(1000)"
WITH_A_CHILD = (
    f"{STUBBORN}import subprocess, sys\n"
    f"subprocess.Popen([sys.executable, '-c', {STUBBORN + FOREVER!r}])\n{FOREVER}"
)


def started(code: str, mark: str, lines: list[str] | None = None) -> Service:
    collected = lines if lines is not None else []
    return Service(
        "sleeper",
        [sys.executable, "-c", code],
        output=lambda _, line: collected.append(line),
        environment={MARK: mark},
    )


def test_output_is_relayed_line_by_line(mark: str) -> None:
    lines: list[str] = []
    service = started("import sys; print('one'); print('two', file=sys.stderr)", mark, lines)

    assert eventually(lambda: sorted(lines) == ["one", "two"])
    assert eventually(lambda: not service.running())
    service.kill()


def test_killed_or_ended_a_service_has_relayed_all_that_it_said(mark: str) -> None:
    lines: list[str] = []

    def slowly(_: str, line: str) -> None:
        time.sleep(0.1)
        lines.append(line)

    command = [sys.executable, "-c", "print('one'); print('two')"]
    service = Service("sleeper", command, output=slowly, environment={MARK: mark})
    assert eventually(lambda: not service.running())

    service.kill()

    assert lines == ["one", "two"]


def test_the_exit_message_quotes_the_last_line(mark: str) -> None:
    service = started("import sys; sys.exit('no such model')", mark)

    assert eventually(lambda: not service.running())
    assert service.exit_message() == "sleeper ended with exit code 1: no such model"


def test_the_exit_message_names_the_signal(mark: str) -> None:
    service = started(STUBBORN + FOREVER, mark)
    assert eventually(lambda: len(marked(mark)) == 1)
    os.kill(next(iter(marked(mark))), signal.SIGKILL)

    assert eventually(lambda: not service.running())
    assert service.exit_message() == "sleeper was killed by SIGKILL"


def test_kill_reaches_children_and_processes_that_ignore_sigterm(mark: str) -> None:
    service = started(WITH_A_CHILD, mark)
    assert eventually(lambda: len(marked(mark)) == 2)
    service.terminate()
    time.sleep(0.2)
    assert service.running()

    service.kill()

    assert eventually(lambda: not marked(mark))


def test_kill_reaches_the_child_of_a_process_that_has_ended(mark: str) -> None:
    service = started(WITH_A_CHILD.removesuffix(FOREVER), mark)
    assert eventually(lambda: not service.running())

    service.kill()

    assert eventually(lambda: not marked(mark))


def test_killing_the_launcher_kills_what_it_started(mark: str) -> None:
    launcher = (
        "import sys, time\n"
        "from launcher.service import Service\n"
        f"Service('sleeper', [sys.executable, '-c', {STUBBORN + FOREVER!r}], "
        "output=lambda *line: None)\n"
        "time.sleep(1000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", launcher], env={**os.environ, MARK: mark})
    assert eventually(lambda: len(marked(mark)) == 2)

    process.kill()
    process.wait()

    assert eventually(lambda: not marked(mark))
