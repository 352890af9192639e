"""Workers that the launcher restarts."""

import sys
import time

from launcher.restarter import Restarter
from launcher.service import Service
from tests.processes import eventually


def test_each_death_is_reported_and_followed_by_a_longer_delay(mark: str) -> None:
    lines: list[str] = []
    starts: list[float] = []

    def start() -> Service:
        starts.append(time.monotonic())
        code = "import sys; sys.exit('no model')"
        return Service("worker-1", [sys.executable, "-c", code], output=lambda *_: None)

    worker = Restarter(start(), start, output=lambda _, line: lines.append(line))

    def started_three_times() -> bool:
        worker.check()
        return len(starts) == 3

    assert eventually(started_three_times)
    worker.service.kill()
    assert lines == [
        f"worker-1 ended with exit code 1: no model; restarting in {delay} s" for delay in (1, 2)
    ]
    assert starts[1] - starts[0] >= 1
    assert starts[2] - starts[1] >= 2
