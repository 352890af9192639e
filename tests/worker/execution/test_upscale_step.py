"""`upscale` and `post_upscale`: what is doubled, what is recorded, and how it is stopped."""

import io
import threading
from typing import Any

import pytest
from PIL import Image

from jobs.status import JobState, Progress
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


@pytest.mark.parametrize(
    "parameter",
    [{"upscale": True}, {"post_upscale": True}, {"output_width": 128, "output_height": 128}],
)
def test_a_job_can_be_cancelled_while_it_upscales(bench: Bench, parameter: dict[str, Any]) -> None:
    engine = SmallEngine(seconds=0.01, tiles=20_000)
    parameters: dict[str, Any] = {"n_iter": 1, "ddim_steps": 1, **parameter}
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


@pytest.mark.parametrize(
    ("body", "doublings", "to"),
    [
        ({"output_width": 256, "output_height": 256}, [(64, 64), (128, 128)], (256, 256)),
        ({"output_width": 100, "output_height": 70}, [(64, 46)], (100, 70)),
        ({"output_width": 64, "output_height": 64}, [], (64, 64)),
        ({"output_width": 64, "output_height": 130, "H": 256}, [], (64, 130)),
    ],
)
def test_every_image_gets_the_output_size_before_the_grid(
    bench: Bench, body: dict[str, Any], doublings: list[tuple[int, int]], to: tuple[int, int]
) -> None:
    engine = SmallEngine()
    job_id = bench.submit("txt2img", n_iter=2, skip_grid=False, n_rows=1, **body)
    bench.run(engine)
    assert sizes(bench, job_id) == [to, to, (2 * to[0], to[1])]
    assert engine.doublings == doublings * 2
    result = bench.status(job_id).result
    assert result
    info = Image.open(io.BytesIO(bench.store.read(result.images[0].name))).info["parameters"]
    assert f"Size: 64x{body.get('H', 64)}," in info
    upscaler = "nearest" if doublings else "Lanczos"
    assert f"Postprocess upscale to: {to[0]}x{to[1]}, Postprocess upscaler: {upscaler}" in info


def test_the_output_size_comes_after_post_upscale(bench: Bench) -> None:
    engine = SmallEngine()
    job_id = bench.submit(
        "img2img", n_iter=1, post_upscale=True, output_width=300, output_height=150
    )
    bench.run(engine)
    assert sizes(bench, job_id) == [(300, 150)]
    assert engine.doublings == [(64, 64), (128, 64), (256, 128)]


def test_progress_continues_while_images_are_upscaled(bench: Bench) -> None:
    seen: list[Progress] = []

    def upscaled(image: int) -> int:
        """How often an image was seen while it was upscaled."""
        return sum(each.upscaling and each.image == image for each in seen)

    engine = SmallEngine(
        seconds=0.02, tiles=2000, hurries=lambda: upscaled(len(engine.doublings)) > 1
    )
    job_id = bench.submit("txt2img", ddim_steps=1, output_width=128, output_height=128, n_iter=2)
    with bench.context(engine) as context:
        thread = threading.Thread(target=execute_job, args=[context, "standard"])
        thread.start()
        while thread.is_alive():
            if (progress := bench.status(job_id).progress) and progress not in seen:
                seen.append(progress)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] < 1
    upscaling = [progress for progress in seen if progress.upscaling]
    assert {progress.image for progress in upscaling} == {1, 2}
    assert len(upscaling) > 3
    assert all(progress.eta_seconds is not None for progress in upscaling)
