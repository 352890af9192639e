"""The kind upscale: its pixels, its size and metadata, its progress, and how it is stopped."""

import io
import threading
from typing import Any

import numpy
import pytest
from PIL import Image

from jobs.records.new_job import NewJob, new_job_id
from jobs.status import JobState, Result
from jobs.validation.request import Upscale, parse_request
from stable_diffusion.errors import UnreadableModel
from tests.worker.conftest import Bench, png
from tests.worker.small import SmallEngine
from worker.execution.execute_job import execute_job


def photo(width: int = 40, height: int = 30) -> Image.Image:
    pixels = numpy.random.default_rng(1).integers(0, 256, (4, 5, 3), dtype=numpy.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def submit(bench: Bench, image: Image.Image | None = None, **body: Any) -> str:
    body = {"type": "standard", "init_img": png(image or photo())} | body
    request = parse_request("upscale", body)
    assert isinstance(request, Upscale)
    job = NewJob(job_id=new_job_id(), request=request, model="")
    bench.store.put_input(job.job_id, "init", request.init_img)
    bench.records.open(job)
    return job.job_id


def result(bench: Bench, job_id: str) -> tuple[Result, Image.Image]:
    status = bench.status(job_id)
    assert status.result, status.failure
    (stored,) = status.result.images
    image = Image.open(io.BytesIO(bench.store.read(stored.name)))
    assert image.size == (stored.width, stored.height)
    assert (stored.index, stored.seed) == (0, None)
    return status.result, image


def test_a_picture_becomes_twice_as_large_without_a_model(bench: Bench) -> None:
    engine = SmallEngine()
    job_id = submit(bench)
    bench.run(engine)
    found, image = result(bench, job_id)
    assert image.tobytes() == photo().resize((80, 60), Image.Resampling.NEAREST).tobytes()
    assert (engine.loads, engine.doublings) == ([], [(40, 30)])
    assert (found.model, found.sampler, found.prompt, found.seeds) == ("", "", {}, ())
    assert found.upscaler == "nearest"
    assert {"queued", "load", "upscale", "save"} == found.timings.keys()
    assert image.info["parameters"].startswith(
        "Postprocess upscale by: 2, Postprocess upscaler: nearest, Version: "
    )
    assert [name for name in bench.files() if "input" in name] == []


@pytest.mark.parametrize("method", ["lanczos", "nearest"])
def test_resampling_is_pillows(bench: Bench, method: str) -> None:
    engine = SmallEngine(upscaler=UnreadableModel("no network is needed"))
    job_id = submit(bench, upscaler=method, upscale_by=2.5)
    bench.run(engine)
    _, image = result(bench, job_id)
    resampling = Image.Resampling[method.upper()]
    assert image.tobytes() == photo().resize((100, 75), resampling).tobytes()


@pytest.mark.parametrize(
    ("body", "size", "doublings"),
    [
        ({"upscale_by": 3}, (120, 90), [(40, 30), (80, 60)]),
        ({"output_width": 64, "output_height": 64}, (64, 64), [(30, 30), (60, 60)]),
        ({"output_width": 320, "output_height": 64}, (320, 64), [(40, 8), (80, 16), (160, 32)]),
    ],
)
def test_the_result_has_the_exact_size(
    bench: Bench, body: dict[str, Any], size: tuple[int, int], doublings: list[tuple[int, int]]
) -> None:
    engine = SmallEngine()
    job_id = submit(bench, format="webp", **body)
    bench.run(engine)
    found, image = result(bench, job_id)
    assert (image.size, image.format, found.format) == (size, "WEBP", "webp")
    assert engine.doublings == doublings


def test_the_shipped_network_keeps_what_the_picture_shows(bench: Bench) -> None:
    from worker.execution.diffusion_engine import StableDiffusion

    job_id = submit(bench, skip_save=True, return_base64=True)
    bench.run(StableDiffusion("cpu", 1, bench.outputs / "no upscalers"))
    found, image = result(bench, job_id)
    assert found.upscaler == "upscaler-x2"
    assert not found.saved
    small = image.resize((40, 30), Image.Resampling.LANCZOS)
    assert abs(numpy.asarray(small, int) - numpy.asarray(photo(), int)).mean() < 2


def test_its_progress_rises_until_it_has_ended(bench: Bench) -> None:
    job_id = submit(bench, upscale_by=4)
    fractions: list[float] = []

    def seen() -> bool:
        return len(set(fractions)) > 3

    with bench.context(SmallEngine(seconds=0.02, tiles=2000, hurries=seen)) as context:
        thread = threading.Thread(target=execute_job, args=[context, "standard"])
        thread.start()
        while thread.is_alive():
            if progress := bench.status(job_id).progress:
                assert progress.upscaling
                fractions.append(progress.fraction)
    assert fractions == sorted(fractions)
    assert seen()
    assert fractions[-1] < 1
    assert bench.status(job_id).fraction == 1


def test_it_can_be_cancelled_between_two_tiles(bench: Bench) -> None:
    engine = SmallEngine(seconds=0.01, tiles=20_000)
    job_id = submit(bench)
    with bench.context(engine) as context:
        thread = threading.Thread(target=execute_job, args=[context, "standard"])
        thread.start()
        assert engine.upscaling.wait(60)
        bench.records.cancel(job_id)
        thread.join(60)
        assert not thread.is_alive()
    assert bench.status(job_id).state is JobState.CANCELLED
    assert bench.files() == []


def test_an_unreadable_upscaler_and_another_device_are_told(bench: Bench) -> None:
    broken = submit(bench)
    bench.run(SmallEngine(upscaler=UnreadableModel("upscaler file 'page.pth' is damaged")))
    failure = bench.status(broken).failure
    assert failure
    assert (failure.code, "page.pth" in failure.message) == ("model_unreadable", True)

    job_id = submit(bench, device="cuda")
    bench.run()
    assert [warning.partition(":")[0] for warning in bench.status(job_id).warnings] == ["device"]
