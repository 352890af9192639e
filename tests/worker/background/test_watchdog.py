"""The watchdog judges jobs by the time in which they could run."""

import pytest

from tests.worker.conftest import Bench
from tests.worker.execution.test_progress_clock import Time
from worker.background import watchdog
from worker.background.lease import LeaseKeeper
from worker.background.watchdog import Watchdog
from worker.execution import progress_clock


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    for module in (progress_clock, watchdog):
        monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_worker_that_was_paused_finds_no_job_hung_unless_it_hangs_on(
    bench: Bench, time: Time
) -> None:
    bench.submit()
    claim = bench.claims.claim("standard", "worker")
    assert claim
    leases = LeaseKeeper(bench.claims, renew_seconds=60)
    hung: list[float] = []
    watching = Watchdog(
        leases,
        others={},
        on_hang=lambda: hung.append(time.now),
        progress_seconds=60,
        deadline_seconds=600,
    )
    with leases.keep(claim):
        watching.tick()
        time.now += 5000
        watching.tick()
        thawed = time.now
        while not hung:
            time.now += 0.5
            watching.tick()
    assert 59 <= hung[0] - thawed <= 61
