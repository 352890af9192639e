"""An API that gets bursts of mixed signals ends its event streams and leaves."""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.faults.api import KEY, running_api
from tests.processes import eventually
from tests.worker.conftest import Bench

pytestmark = pytest.mark.service

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_burst_of_signals_ends_the_event_streams_and_the_process(
    bench: Bench, redis_url: str, seed: int
) -> None:
    order = random.Random(seed)
    job_id = bench.submit()
    with running_api(bench, redis_url) as api, httpx.Client(trust_env=False, timeout=60) as client:
        answering = api.worker_pid
        with client.stream("GET", f"{api.url}/events/{job_id}", headers=KEY) as stream:
            received = stream.iter_raw()
            next(received)
            for number in order.choices(SIGNALS, k=50):
                with suppress(ProcessLookupError):
                    os.kill(answering, number)
            for _ in received:
                pass  # until the stream ends, without an error
        assert eventually(lambda: not Path(f"/proc/{answering}").exists()), api.said
        # gunicorn replaces a worker that has left
        assert client.get(f"{api.url}/healthz").is_success
