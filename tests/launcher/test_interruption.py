"""Signals that arrive in bursts: the launcher hears them, and never waits for itself."""

import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from launcher.interruption import SIGNALS

BURSTS = 200
# As `make up` waits, but without a pause: most signals arrive within `pause`.
WAITING = """
from launcher.errors import Interrupted
from launcher.interruption import Interruption

while True:
    interruption = Interruption()
    print("waiting", flush=True)
    try:
        while True:
            interruption.pause(0)
    except Interrupted:
        pass
"""


@pytest.fixture
def waiting() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for a signal, says so, and then waits for the next one."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def waits_again(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process says within a minute that it waits."""
    assert process.stdout
    return bool(select.select([process.stdout], [], [], 60)[0]) and bool(
        os.read(process.stdout.fileno(), len("waiting\n"))
    )


def test_a_burst_of_signals_is_heard_every_time(waiting: subprocess.Popen[bytes]) -> None:
    order = random.Random(19)
    assert waits_again(waiting)
    for number in range(BURSTS):
        for signal_number in order.choices(SIGNALS, k=6):
            waiting.send_signal(signal_number)
        assert waits_again(waiting), f"burst {number} was not heard"
