"""A worker vanishes: how soon its job is another's, with the settings that a user has.

tests/worker/test_process.py has what killed, frozen and stopped workers leave behind.
"""

import time

import pytest

from jobs import keys
from jobs.status import JobState
from tests.faults.valkey import Valkey
from tests.launching import READY_SECONDS
from tests.processes import slowness
from tests.worker.conftest import Bench, until
from tests.worker.processes import SHORT, worker
from worker.settings import WorkerSettings

pytestmark = pytest.mark.service

PROMISED_SECONDS = 15
AS_SHIPPED = {
    name: str(WorkerSettings.model_fields[name.lower()].default)
    for name in SHORT
    if name != "SHUTDOWN_GRACE_SECONDS"
}


def claimed_at(bench: Bench, job: str) -> float:
    """When the job was claimed last, by Redis' clock."""
    return float(str(bench.redis.hget(keys.job(job), "claimed")))


def test_a_job_of_a_killed_worker_is_another_s_within_15_seconds(
    bench: Bench, valkey: Valkey
) -> None:
    with worker(bench, valkey.url, **AS_SHIPPED) as first:
        job = bench.send(ddim_steps=1000, n_iter=5)
        until(lambda: bench.status(job).fraction > 0)
        began = time.monotonic()
        with worker(bench, valkey.url, **AS_SHIPPED):
            slower = slowness(time.monotonic() - began, READY_SECONDS)
            first.kill()
            killed = time.time()
            until(lambda: bench.status(job).attempts == 2)
            took = claimed_at(bench, job) - killed
            assert took < PROMISED_SECONDS * slower
            bench.records.cancel(job)
            assert bench.ended(job).state is JobState.CANCELLED
