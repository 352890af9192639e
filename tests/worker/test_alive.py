"""The worker's health check: a healthy worker, a frozen one, and one without Redis."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worker.conftest import Bench, until
from tests.worker.processes import worker

pytestmark = pytest.mark.service

REPOSITORY = Path(__file__).parents[2]


def check(redis_url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.alive"],
        cwd=REPOSITORY,
        env={**os.environ, "CELERY_BROKER_URL": redis_url},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_worker_that_announces_itself_is_healthy_until_it_is_frozen(
    bench: Bench, redis_url: str
) -> None:
    with worker(bench, redis_url) as handle:
        until(lambda: check(redis_url).returncode == 0)
        handle.freeze()
        until(lambda: not bench.workers.alive())
        result = check(redis_url)
        handle.thaw()

    assert result.returncode == 1
    assert "no worker of" in result.stderr


def test_the_worker_of_another_container_does_not_make_this_one_healthy(
    bench: Bench, redis_url: str
) -> None:
    with worker(bench, redis_url):
        facts = bench.only_worker()
        other = facts.model_copy(update={"worker_id": f"elsewhere-{facts.worker_id}"})
    bench.workers.withdraw(facts.worker_id)
    bench.workers.announce(other, ttl_seconds=60)

    assert check(redis_url).returncode == 1


def test_a_worker_without_redis_is_not_healthy() -> None:
    result = check("redis://127.0.0.1:1/0")

    assert result.returncode == 1
    assert result.stderr.startswith("error: the job records cannot be reached")
