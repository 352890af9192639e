"""Celery's events, which only monitors such as Flower need."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from tests.worker.conftest import Bench, until

pytestmark = pytest.mark.service

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("enabled", [True, False])
def test_celery_events_are_sent_only_if_configured(
    bench: Bench, redis_url: str, enabled: bool
) -> None:
    environment = {
        **os.environ,
        "CELERY_BROKER_URL": redis_url,
        "DATA_DIR": str(bench.outputs.parent),
        "PRELOAD": "false",
        "CELERY_EVENTS": str(enabled),
    }
    with Redis.from_url(redis_url) as redis, redis.pubsub() as events:
        events.psubscribe("*celeryev*")
        assert events.get_message(timeout=120) is not None  # the subscription is active
        process = subprocess.Popen(
            [sys.executable, "-m", "worker"], cwd=REPOSITORY, env=environment
        )
        try:
            until(lambda: process.poll() is not None or bench.workers.alive())
            process.terminate()
            process.wait(240)
        finally:
            process.kill()
            process.wait()

        event = events.get_message(timeout=2)

    assert (event is not None) is enabled
