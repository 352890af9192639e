"""`upscale` and `post_upscale`: what is doubled, what is recorded, and how it is stopped."""

import io
import threading
from typing import Any

import pytest
from PIL import Image

from jobs.status import JobState
from stable_diffusion.errors import UnreadableModel
from tests.worker.conftest import Bench, png
from tests.worker.small import SmallEngine
from worker.execution.execute_job import execute_job


def sizes(bench: Bench, job_id: str) -> list[tuple[int, int]]:
    result = bench.status(job_id).result
    assert result, bench.status(job_id).failure
    shown = [*result.images, *([result.grid] if result.grid else [])]
    opened = [Image.open(io.BytesIO(bench.store.read(image.name))) for image in shown]
    assert [image.size for image in opened] == [(image.width, image.height) for image in shown]
    return [image.size for image in opened]


def test_without_the_parameters_nothing_is_doubled(bench: Bench) -> None:
    engine = SmallEngine()
    job_id = bench.submit("img2img", n_iter=1)
    bench.run(engine)
    assert (engine.doublings, sizes(bench, job_id)) == ([], [(64, 64)])
    result = bench.status(job_id).result
    assert result
    assert "upscale" not in result.timings


def test_upscale_doubles_the_init_image_and_not_the_result(bench: Bench) -> None:
    engine = SmallEngine()
    job_id = bench.submit(
        "img2img", n_iter=1, upscale=True, init_img=png(Image.new("RGB", (48, 64)))
    )
    bench.run(engine)
    # the longer side is cropped for a square image
    assert engine.doublings == [(48, 48)]
    assert engine.inits == [(96, 96)]
    assert sizes(bench, job_id) == [(64, 64)]
    result = bench.status(job_id).result
    assert result
    assert "upscale" in result.timings


def test_upscale_first_fits_the_init_image_to_the_requested_size(bench: Bench) -> None:
    engine = SmallEngine()
    bench.submit(
        "img2img", n_iter=1, upscale=True, W=128, init_img=png(Image.new("RGB", (900, 900)))
    )
    bench.run(engine)
    assert engine.doublings == [(128, 64)]


def test_post_upscale_doubles_every_image_before_the_grid(bench: Bench) -> None:
    engine = SmallEngine()
    job_id = bench.submit("img2img", n_iter=2, post_upscale=True, skip_grid=False)
    bench.run(engine)
    assert sizes(bench, job_id) == [(128, 128), (128, 128), (256, 128)]
    assert engine.inits == [(64, 64)]
    result = bench.status(job_id).result
    assert result
    info = Image.open(io.BytesIO(bench.store.read(result.images[0].name))).info["parameters"]
    assert "Postprocess upscale by: 2, Postprocess upscaler: nearest" in info


def test_an_unreadable_upscaler_fails_the_job_before_sampling(bench: Bench) -> None:
    engine = SmallEngine(upscaler=UnreadableModel("upscaler file 'page.pth' is damaged"))
    job_id = bench.submit("img2img", post_upscale=True)
    bench.run(engine)
    failure = bench.status(job_id).failure
    assert failure
    assert (failure.code, "page.pth" in failure.message) == ("model_unreadable", True)
    assert not engine.started.is_set()
    assert bench.files() == []


@pytest.mark.parametrize("switch", ["upscale", "post_upscale"])
def test_a_job_can_be_cancelled_while_it_upscales(bench: Bench, switch: str) -> None:
    engine = SmallEngine(seconds=0.01, tiles=20_000)
    parameters: dict[str, Any] = {"n_iter": 1, "ddim_steps": 1, switch: True}
    job_id = bench.submit("img2img", **parameters)
    with bench.context(engine) as context:
        thread = threading.Thread(target=execute_job, args=[context, "standard"])
        thread.start()
        assert engine.upscaling.wait(60)
        bench.records.cancel(job_id)
        thread.join(60)
        assert not thread.is_alive()
    assert bench.status(job_id).state is JobState.CANCELLED
    assert bench.files() == []
