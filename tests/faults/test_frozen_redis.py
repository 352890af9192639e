"""Redis is frozen for longer than a lease while every slot is busy: nobody is robbed."""

import time
from typing import Any

import pytest

from jobs.status import JobState
from tests.faults.valkey import Valkey
from tests.worker.conftest import Bench, until
from tests.worker.processes import worker

pytestmark = pytest.mark.service

LEASE_SECONDS = 5.0
FREEZES = (6, 8)
LONG: dict[str, Any] = {"ddim_steps": 1000, "n_iter": 5}
"""Steps of a tenth of a second: all jobs outlast all freezes, on a busy machine too."""


def test_a_frozen_redis_robs_no_living_worker_of_its_job(bench: Bench, valkey: Valkey) -> None:
    settings = {"CONCURRENCY": "2", "LEASE_SECONDS": str(LEASE_SECONDS)}
    with (
        worker(bench, valkey.url, **settings) as first,
        worker(bench, valkey.url, **settings) as second,
    ):
        jobs = [bench.send(**LONG) for _ in range(4)]
        until(lambda: all(bench.status(job).state is JobState.PROGRESS for job in jobs))
        for seconds in FREEZES:
            valkey.freeze()
            time.sleep(seconds)
            valkey.thaw()
            time.sleep(LEASE_SECONDS)  # for as long as a theft could follow
        held = [bench.status(job) for job in jobs]
        for handle in (first, second):
            assert handle.process.poll() is None
            assert "lease expired" not in handle.log.read_text()
        for job in jobs:
            bench.records.cancel(job)
            bench.ended(job)
    assert [(status.state, status.attempts) for status in held] == [(JobState.PROGRESS, 1)] * 4


def test_a_worker_that_dies_while_redis_is_frozen_loses_its_job_all_the_same(
    bench: Bench, valkey: Valkey
) -> None:
    with worker(bench, valkey.url) as first:
        job = bench.send(**LONG)
        until(lambda: bench.status(job).state is JobState.PROGRESS)
        with worker(bench, valkey.url):
            valkey.freeze()
            first.kill()
            time.sleep(4)
            valkey.thaw()
            until(lambda: bench.status(job).attempts >= 2)
            bench.records.cancel(job)
            assert bench.ended(job).state is JobState.CANCELLED
