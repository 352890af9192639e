"""Jobs with a second pass, with a shipped model: what they are equal to, and what they report."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from jobs.names import GenerationKind
from jobs.status import JobState, JobStatus
from stable_diffusion.tiny import PATH
from tests.worker.conftest import Bench, png
from worker.execution.diffusion_engine import StableDiffusion
from worker.execution.engine import EngineProvider
from worker.execution.execute_job import execute_job
from worker.models.catalogue import Catalogue
from worker.models.model_cache import ModelCache

BODY: dict[str, Any] = {
    "prompt": "a red circle",
    "ddim_steps": 3,
    "sampler": "k_euler_a",
    "H": 64,
    "W": 96,
    "seed": 5,
}
LARGE = {"W": 144, "H": 96}
"""What `hires_scale: 1.5` makes of it."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StableDiffusion]:
    yield StableDiffusion("cpu", 1, tmp_path_factory.mktemp("upscalers"))


@pytest.fixture(scope="module")
def loaded(engine: StableDiffusion) -> ModelCache:
    """The shipped models, loaded once for all tests."""
    return ModelCache(Catalogue(PATH.parent, "tiny"), EngineProvider(lambda: engine))


@pytest.fixture
def bench(bench: Bench, loaded: ModelCache) -> Bench:
    return replace(bench, loaded=loaded)


def run(
    bench: Bench, engine: StableDiffusion, kind: GenerationKind = "txt2img", **body: Any
) -> JobStatus:
    body = BODY | body
    job_id = bench.submit(kind, model="tiny", **body)
    with bench.context(engine) as context:
        execute_job(context, body.get("type", "standard"))
    return bench.status(job_id)


def pictures(bench: Bench, status: JobStatus) -> list[Image.Image]:
    assert status.state is JobState.SUCCESS, status.failure
    assert status.result
    return [Image.open(io.BytesIO(bench.store.read(image.name))) for image in status.result.images]


def enlarged(engine: StableDiffusion, image: Image.Image, upscaler: str) -> Image.Image:
    size = LARGE["W"], LARGE["H"]
    if upscaler == "default":
        double = engine.double(engine.upscaler(), image, lambda _: None)
        return double.resize(size, Image.Resampling.LANCZOS)
    return image.resize(size, Image.Resampling[upscaler.upper()])


@pytest.mark.parametrize("upscaler", ["lanczos", "nearest", "default"])
def test_it_is_equal_to_the_jobs_that_it_is_made_of(
    bench: Bench, engine: StableDiffusion, upscaler: str
) -> None:
    changes: dict[str, Any] = {"ddim_steps": 4, "sampler": "k_dpmpp_2m", "prompt": "a blue square"}
    at_once = pictures(
        bench,
        run(
            bench,
            engine,
            n_samples=2,
            hires_scale=1.5,
            hires_upscaler=upscaler,
            hires_strength=0.6,
            hires_steps=4,
            hires_sampler="k_dpmpp_2m",
            hires_prompt="a blue square",
        ),
    )
    first = pictures(bench, run(bench, engine, n_samples=2))
    assert len(at_once) == 2
    for number, (image, start) in enumerate(zip(at_once, first, strict=True)):
        init = png(enlarged(engine, start, upscaler))
        body = LARGE | changes | {"init_img": init, "seed": 5 + number, "n_iter": 1}
        status = run(bench, engine, "img2img", denoising_strength=0.6, **body)
        (second,) = pictures(bench, status)
        assert image.size == second.size == (144, 96)
        assert image.tobytes() == second.tobytes()


def test_memory_plans_and_batches_give_the_same_pictures(
    bench: Bench, engine: StableDiffusion
) -> None:
    body = {"hires_scale": 1.5, "variation_strength": 0.4, "variation_seed": 3}
    one = pictures(bench, run(bench, engine, n_iter=2, **body))
    other = pictures(bench, run(bench, engine, n_samples=2, type="optimized", **body))
    assert [image.tobytes() for image in one] == [image.tobytes() for image in other]
    assert one[0].tobytes() != one[1].tobytes()


def test_every_way_to_resample_latents_gives_another_picture(
    bench: Bench, engine: StableDiffusion
) -> None:
    modes = ["latent", "latent_antialiased", "latent_bicubic", "latent_bicubic_antialiased"]
    modes += ["latent_nearest", "latent_nearest_exact"]
    found = {
        pictures(
            bench,
            run(
                bench, engine, hires_width=128, hires_height=96, hires_steps=2, hires_upscaler=mode
            ),
        )[0].tobytes()
        for mode in modes
    }
    # without shrinking there is nothing to filter
    assert len(found) >= 3


def test_its_progress_never_falls_and_its_infotext_tells_of_it(
    bench: Bench, engine: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    fractions: list[float] = []
    original = bench.claims.report

    def kept(claim: Any, progress: Any) -> Any:
        fractions.append(progress.fraction)
        return original(claim, progress)

    monkeypatch.setattr(bench.claims, "report", kept)
    status = run(
        bench,
        engine,
        hires_scale=1.5,
        hires_upscaler="default",
        hires_steps=10,
        output_width=100,
        output_height=80,
    )
    (image,) = pictures(bench, status)
    assert image.size == (100, 80)
    assert fractions == sorted(fractions)
    assert fractions
    text = image.info["parameters"]
    assert "Size: 96x64" in text
    assert "Denoising strength: 0.7, Hires upscale: 1.5, Hires steps: 7, Hires upscaler: " in text
