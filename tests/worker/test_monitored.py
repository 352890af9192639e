"""Celery's events: sent where a monitor shall hear them, and only there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from tests.worker.conftest import Bench, until

pytestmark = pytest.mark.service

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("told", [True, False])
def test_a_monitor_hears_of_a_worker_that_shall_tell(
    bench: Bench, redis_url: str, told: bool
) -> None:
    environment = {
        **os.environ,
        "CELERY_BROKER_URL": redis_url,
        "DATA_DIR": str(bench.outputs.parent),
        "PRELOAD": "false",
        "CELERY_EVENTS": str(told),
    }
    with Redis.from_url(redis_url) as redis, redis.pubsub() as events:
        events.psubscribe("*celeryev*")
        assert events.get_message(timeout=120) is not None  # that it listens
        process = subprocess.Popen(
            [sys.executable, "-m", "worker"], cwd=REPOSITORY, env=environment
        )
        try:
            until(lambda: process.poll() is not None or bench.workers.alive())
        finally:
            process.terminate()
            process.wait(60)

        heard = events.get_message(timeout=2)

    assert (heard is not None) is told
