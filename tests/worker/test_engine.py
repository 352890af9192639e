"""The real engine behind the worker's seam, with a tiny model of random weights."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from jobs.status import JobState
from stable_diffusion.networks import build_networks
from stable_diffusion.variants import TINY
from stable_diffusion.weights.saving import save_checkpoint
from tests.worker.conftest import Bench
from tests.worker.processes import worker
from worker.diffusion import StableDiffusion


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(build_networks(TINY), TINY, path)
    return path


@pytest.fixture
def bench(bench: Bench, weights: Path) -> Bench:
    (bench.models / "tiny.safetensors").symlink_to(weights)
    return bench


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StableDiffusion]:
    threads = torch.get_num_threads()
    yield StableDiffusion("cpu", 1, tmp_path_factory.mktemp("upscalers"))
    torch.set_num_threads(threads)


def pixels(bench: Bench, job_id: str, index: int = 0) -> bytes:
    result = bench.status(job_id).result
    assert result, bench.status(job_id).failure
    return Image.open(io.BytesIO(bench.store.read(result.images[index].name))).tobytes()


def test_a_prompt_becomes_a_picture(bench: Bench, engine: StableDiffusion) -> None:
    job_id = bench.submit(model="tiny", prompt="a ((red)) cat", ddim_steps=3, H=64, W=128)
    bench.run(engine)
    result = bench.status(job_id).result
    assert result, bench.status(job_id).failure
    assert (result.images[0].width, result.images[0].height) == (128, 64)
    assert (result.executed_steps, len(result.model_hash)) == (3, 10)
    assert "red" in str(result.prompt)


def test_a_picture_is_the_same_alone_in_a_batch_and_in_iterations(
    bench: Bench, engine: StableDiffusion
) -> None:
    ask = {"model": "tiny", "ddim_steps": 3, "sampler": "k_euler_a"}
    alone = bench.submit(**ask, seed=12)
    batch = bench.submit(**ask, seed=10, n_samples=3)
    turns = bench.submit(**ask, seed=11, n_iter=2)
    with bench.runner(engine) as runner:
        for _ in range(3):
            runner.run_next("standard")
    assert pixels(bench, alone) == pixels(bench, batch, 2) == pixels(bench, turns, 1)


def test_a_picture_becomes_another(bench: Bench, engine: StableDiffusion) -> None:
    job_id = bench.submit(
        "img2img", model="tiny", ddim_steps=4, denoising_strength=0.5, n_iter=2, sampler="plms"
    )
    bench.run(engine)
    result = bench.status(job_id).result
    assert result, bench.status(job_id).failure
    assert (result.steps, result.executed_steps, len(result.images)) == (4, 2, 2)


def test_a_picture_is_upscaled_before_and_after_by_the_shipped_network(
    bench: Bench, engine: StableDiffusion
) -> None:
    ask = {"model": "tiny", "ddim_steps": 4, "n_iter": 1}
    plain = bench.submit("img2img", **ask)
    both = bench.submit("img2img", **ask, upscale=True, post_upscale=True)
    with bench.runner(engine) as runner:
        runner.run_next("standard")
        runner.run_next("standard")
    result = bench.status(both).result
    assert result, bench.status(both).failure
    assert (result.images[0].width, result.images[0].height) == (128, 128)
    small, large = (
        Image.frombytes("RGB", (side, side), pixels(bench, job_id)).resize((16, 16))
        for side, job_id in ((64, plain), (128, both))
    )
    # the same picture: its colours, a sixteenth of it at a time
    assert numpy.abs(numpy.asarray(small, int) - numpy.asarray(large, int)).mean() < 20


def test_a_file_that_is_no_model_fails_its_jobs_and_no_others(
    bench: Bench, engine: StableDiffusion
) -> None:
    (bench.models / "page.safetensors").write_text("<html>not found</html>")
    bad = bench.submit(model="page")
    good = bench.submit(model="tiny", ddim_steps=1)
    with bench.runner(engine) as runner:
        runner.run_next("standard")
        runner.run_next("standard")
    failure = bench.status(bad).failure
    assert failure
    assert failure.code == "model_unreadable"
    assert str(bench.models) not in failure.message
    assert bench.status(good).state is JobState.SUCCESS


@pytest.mark.service
def test_a_real_worker_draws_with_the_real_engine(bench: Bench, redis_url: str) -> None:
    first = bench.send(model="tiny", ddim_steps=2, device="cuda")
    with worker(bench, redis_url, "worker.app", DEFAULT_MODEL="tiny"):
        status = bench.ended(first)
        assert status.state is JobState.SUCCESS, status.failure
        assert "no CUDA device" in status.warnings[0]
        again = bench.send(model="tiny", ddim_steps=2)
        assert bench.ended(again).state is JobState.SUCCESS
    assert pixels(bench, first) == pixels(bench, again)
