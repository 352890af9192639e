"""A worker process that gets bursts of mixed signals leaves, and hands its job back."""

import random
import signal

import pytest

from jobs.status import JobState
from tests.worker.conftest import Bench, until
from tests.worker.processes import worker

pytestmark = pytest.mark.service

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_burst_of_signals_is_one_request_to_leave(
    bench: Bench, redis_url: str, seed: int
) -> None:
    order = random.Random(seed)
    with worker(bench, redis_url) as leaving:
        job_id = bench.send(ddim_steps=1000)
        until(lambda: bench.status(job_id).state is JobState.PROGRESS)
        for number in order.choices(SIGNALS, k=50):
            leaving.process.send_signal(number)
        assert leaving.process.wait(120) == 0
    status = bench.status(job_id)
    assert (status.state, status.attempts) == (JobState.PENDING, 0)
    assert bench.workers.alive() == ()


def test_a_worker_dumps_its_stacks_on_demand(bench: Bench, redis_url: str) -> None:
    with worker(bench, redis_url) as asked:
        asked.process.send_signal(signal.SIGUSR1)
        until(lambda: "most recent call first" in asked.log.read_text())
        assert asked.terminate() == 0
