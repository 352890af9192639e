"""Previews of running jobs: twice a second, in nobody's way."""

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

from jobs.claims import Claim, Claims, Hold
from jobs.errors import RecordsUnavailable
from jobs.status import JobState, Preview
from tests.worker.conftest import Bench, until
from tests.worker.processes import worker
from tests.worker.small import SmallEngine
from worker.previewer import Previewer


def previews_of(bench: Bench, job_id: str) -> int:
    """How many previews of a job were shown."""
    return bench.records.watch({job_id: 0})[job_id].previews


class Watchable(SmallEngine):
    """Counts the previews that are drawn of it, and can be made to stop at one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.drawn = 0
        self.may_draw = threading.Event()
        self.may_draw.set()

    def preview(self, model: Any, evaluation: Any) -> Image.Image:
        assert self.may_draw.wait(60)
        self.drawn += 1
        return super().preview(model, evaluation)


def test_a_running_job_shows_what_it_looks_like(bench: Bench) -> None:
    gate = threading.Event()
    with bench.runner(SmallEngine(gate=gate)) as runner:
        job_id = bench.submit(ddim_steps=5)
        job = threading.Thread(target=runner.run_next, args=["standard"])
        job.start()
        try:
            until(lambda: previews_of(bench, job_id))
            preview = bench.records.watch({job_id: 0})[job_id].preview
        finally:
            gate.set()
            job.join()
    assert preview
    assert (preview.step, preview.steps, preview.image) == (1, 5, 1)
    picture = Image.open(io.BytesIO(base64.b64decode(preview.jpeg)))
    assert picture.format == "JPEG"
    assert picture.size == (preview.width, preview.height) == (8, 8)
    assert bench.status(job_id).state is JobState.SUCCESS
    assert bench.records.watch({job_id: 0})[job_id].preview is None


def test_previews_are_drawn_about_twice_a_second_however_fast_the_steps_are(bench: Bench) -> None:
    engine = Watchable(seconds=0.005)
    job_id = bench.submit(ddim_steps=300)
    began = time.monotonic()
    bench.run(engine)
    passed = time.monotonic() - began
    assert 2 <= engine.drawn <= passed / 0.5 + 1
    assert previews_of(bench, job_id) <= engine.drawn


def test_a_job_waits_for_no_preview(bench: Bench) -> None:
    engine = Watchable()
    engine.may_draw.clear()
    with bench.runner(engine) as runner:
        job_id = bench.submit(ddim_steps=50)
        runner.run_next("standard")
        state = bench.status(job_id).state
        engine.may_draw.set()
    assert state is JobState.SUCCESS
    assert previews_of(bench, job_id) == 0


class DeafClaims(Claims):
    """Records that cannot be reached for previews."""

    def preview(self, claim: Claim, preview: Preview) -> Hold:
        raise RecordsUnavailable("no answer")


def test_a_job_does_not_care_whether_its_previews_are_drawn_or_written(bench: Bench) -> None:
    class Blind(SmallEngine):
        def preview(self, model: Any, evaluation: Any) -> Image.Image:
            raise MemoryError

    claims = DeafClaims(bench.redis, lease_seconds=60, max_attempts=3, result_ttl_seconds=600)
    deaf = replace(bench, claims=claims)
    for one, engine in ((bench, Blind(seconds=0.01)), (deaf, SmallEngine(seconds=0.01))):
        job_id = one.submit(ddim_steps=50)
        one.run(engine)
        assert one.status(job_id).state is JobState.SUCCESS
        assert previews_of(one, job_id) == 0


def test_no_preview_keeps_a_model_that_was_given_back(bench: Bench) -> None:
    models: list[weakref.ref[Any]] = []

    class Remembering(SmallEngine):
        def load(self, wanted: Any, on_progress: Any) -> Any:
            model = super().load(wanted, on_progress)
            models.append(weakref.ref(model))
            return model

    with bench.runner(Remembering()) as runner:
        never_draws = Previewer(bench.claims)
        bench.submit()
        studio = replace(runner.studio, previewer=never_draws)
        replace(runner, studio=studio).run_next("standard")
        runner.studio.shelf.clear()
        gc.collect()
        (model,) = models
        assert model() is None


def test_without_previews_none_is_drawn(bench: Bench) -> None:
    engine = Watchable(seconds=0.02)
    job_id = bench.submit(ddim_steps=50)
    with bench.runner(engine, previews=False) as runner:
        runner.run_next("standard")
    assert bench.status(job_id).state is JobState.SUCCESS
    assert engine.drawn == 0


@pytest.mark.service
@pytest.mark.parametrize(("setting", "shown"), [({}, True), ({"PREVIEWS": "false"}, False)])
def test_previews_are_on_unless_the_settings_say_otherwise(
    bench: Bench, redis_url: str, setting: dict[str, str], shown: bool
) -> None:
    with worker(bench, redis_url, **setting):
        job_id = bench.send(ddim_steps=60)
        assert bench.ended(job_id).state is JobState.SUCCESS
    assert (previews_of(bench, job_id) > 0) is shown
