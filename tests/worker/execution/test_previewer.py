"""Previews of running jobs, twice a second, which delay no job."""

import base64
import gc
import io
import threading
import time
import weakref
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from jobs.errors import RecordsUnavailable
from jobs.records.claim import Claim, ClaimStatus
from jobs.records.claims import Claims
from jobs.status import JobState, Preview
from tests.worker.conftest import Bench, until
from tests.worker.processes import worker
from tests.worker.small import SmallEngine
from worker.execution.execute_job import execute_job
from worker.execution.previewer import Previewer


def previews_of(bench: Bench, job_id: str) -> int:
    """How many previews of a job were written."""
    return bench.records.snapshots({job_id: 0})[job_id].previews


class CountingEngine(SmallEngine):
    """Counts the previews it computes, and can block in one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.computed = 0
        self.unblocked = threading.Event()
        self.unblocked.set()

    def preview(self, model: Any, evaluation: Any) -> Image.Image:
        assert self.unblocked.wait(60)
        self.computed += 1
        return super().preview(model, evaluation)


def test_a_running_job_has_a_preview(bench: Bench) -> None:
    gate = threading.Event()
    with bench.context(SmallEngine(gate=gate)) as context:
        job_id = bench.submit(ddim_steps=5)
        job = threading.Thread(target=execute_job, args=[context, "standard"])
        job.start()
        try:
            until(lambda: previews_of(bench, job_id))
            preview = bench.records.snapshots({job_id: 0})[job_id].preview
        finally:
            gate.set()
            job.join()
    assert preview
    assert (preview.step, preview.steps, preview.image) == (1, 5, 1)
    picture = Image.open(io.BytesIO(base64.b64decode(preview.jpeg)))
    assert picture.format == "JPEG"
    assert picture.size == (preview.width, preview.height) == (8, 8)
    assert bench.status(job_id).state is JobState.SUCCESS
    assert bench.records.snapshots({job_id: 0})[job_id].preview is None


def test_previews_are_computed_at_most_twice_a_second(bench: Bench) -> None:
    engine = CountingEngine(seconds=0.005)
    job_id = bench.submit(ddim_steps=300)
    started = time.monotonic()
    bench.run(engine)
    elapsed = time.monotonic() - started
    assert 2 <= engine.computed <= elapsed / 0.5 + 1
    assert previews_of(bench, job_id) <= engine.computed


def test_a_job_waits_for_no_preview(bench: Bench) -> None:
    engine = CountingEngine()
    engine.unblocked.clear()
    with bench.context(engine) as context:
        job_id = bench.submit(ddim_steps=50)
        execute_job(context, "standard")
        state = bench.status(job_id).state
        engine.unblocked.set()
    assert state is JobState.SUCCESS
    assert previews_of(bench, job_id) == 0


class OfflineClaims(Claims):
    """Records that previews cannot reach."""

    def preview(self, claim: Claim, preview: Preview) -> ClaimStatus:
        raise RecordsUnavailable("no answer")


def test_a_job_succeeds_when_previews_fail(bench: Bench) -> None:
    class FailingEngine(SmallEngine):
        def preview(self, model: Any, evaluation: Any) -> Image.Image:
            raise MemoryError

    claims = OfflineClaims(bench.redis, lease_seconds=60, max_attempts=3, result_ttl_seconds=600)
    offline = replace(bench, claims=claims)
    for one, engine in (
        (bench, FailingEngine(seconds=0.01)),
        (offline, SmallEngine(seconds=0.01)),
    ):
        job_id = one.submit(ddim_steps=50)
        one.run(engine)
        assert one.status(job_id).state is JobState.SUCCESS
        assert previews_of(one, job_id) == 0


def test_no_pending_preview_keeps_a_model_in_memory(bench: Bench) -> None:
    models: list[weakref.ref[Any]] = []

    class RecordingEngine(SmallEngine):
        def load(self, key: Any, on_progress: Any) -> Any:
            model = super().load(key, on_progress)
            models.append(weakref.ref(model))
            return model

    with bench.context(RecordingEngine()) as context:
        never_started = Previewer(bench.claims)
        bench.submit()
        execute_job(replace(context, previewer=never_started), "standard")
        context.model_cache.clear()
        gc.collect()
        (model,) = models
        assert model() is None


def test_without_a_previewer_no_preview_is_computed(bench: Bench) -> None:
    engine = CountingEngine(seconds=0.02)
    job_id = bench.submit(ddim_steps=50)
    with bench.context(engine, previews=False) as context:
        execute_job(context, "standard")
    assert bench.status(job_id).state is JobState.SUCCESS
    assert engine.computed == 0


@pytest.mark.service
@pytest.mark.parametrize(("setting", "enabled"), [({}, True), ({"PREVIEWS": "false"}, False)])
def test_previews_are_on_unless_the_settings_say_otherwise(
    bench: Bench, redis_url: str, setting: dict[str, str], enabled: bool
) -> None:
    with worker(bench, redis_url, **setting):
        job_id = bench.send(ddim_steps=60)
        assert bench.ended(job_id).state is JobState.SUCCESS
    assert (previews_of(bench, job_id) > 0) is enabled
