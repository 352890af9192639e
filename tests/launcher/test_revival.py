"""Workers that are started again."""

import sys
import time

from launcher.revival import Revival
from launcher.service import Service
from tests.processes import eventually


def test_each_death_is_told_and_followed_by_a_longer_pause(mark: str) -> None:
    heard: list[str] = []
    starts: list[float] = []

    def start() -> Service:
        starts.append(time.monotonic())
        code = "import sys; sys.exit('no luck')"
        return Service("worker-1", [sys.executable, "-c", code], output=lambda *_: None)

    worker = Revival(start(), start, output=lambda _, line: heard.append(line))

    def started_three_times() -> bool:
        worker.look_after()
        return len(starts) == 3

    assert eventually(started_three_times)
    worker.service.kill()
    assert heard == [
        f"worker-1 ended with exit code 1: no luck; it is started again in {pause} s"
        for pause in (1, 2)
    ]
    assert starts[1] - starts[0] >= 1
    assert starts[2] - starts[1] >= 2
