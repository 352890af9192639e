"""The engine on a GPU: its pictures beside the CPU's, and what must survive a failure."""

import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from torch import Tensor

from stable_diffusion.cuda.graphs import free_memory
from stable_diffusion.cuda.recorder import CudaRecorder
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.preview import LatentPreview
from stable_diffusion.recipe import Recipe
from stable_diffusion.sampler_table import SAMPLERS
from stable_diffusion.textual_inversion import with_embeddings
from stable_diffusion.tiny import PATH, PATH_XL, SMALL_DECODER_PATH, UPSCALER_PATH
from stable_diffusion.upscaling.upscale import doubled, load_upscaler
from stable_diffusion.weights.fingerprint import Fingerprints
from worker.execution.diffusion_engine import StableDiffusion
from worker.execution.failures import is_out_of_memory

rehearsable = pytest.mark.gpu(rehearsable=True)
on_gpu = pytest.mark.gpu

RECIPE = Recipe(prompt="a red cat on a blue background", width=64, height=64, steps=8, seed=3)


@pytest.fixture(scope="module", params=[False, True], ids=["resident", "offloaded"])
def model(request: pytest.FixtureRequest, device: str) -> Model:
    return Loader(device, Fingerprints(None)).load("tiny", PATH, offloaded=request.param)


@pytest.fixture(scope="module")
def on_cpu() -> Model:
    return Loader("cpu", Fingerprints(None)).load("tiny", PATH)


def picture(model: Model, recipe: Recipe = RECIPE) -> Image.Image:
    plan = "optimized" if model.offload_cache else "standard"
    return next(generate(model, replace(recipe, memory_plan=plan))).image


def differ(one: Image.Image, other: Image.Image) -> float:
    """The mean difference in grey levels."""
    pixels = [numpy.asarray(image).astype(int) for image in (one, other)]
    return float(abs(pixels[0] - pixels[1]).mean())


@rehearsable
@pytest.mark.parametrize("precision", ["autocast", "full"])
def test_a_picture_resembles_that_of_a_cpu(model: Model, on_cpu: Model, precision: str) -> None:
    recipe = replace(RECIPE, precision=precision)
    if precision == "full" and not model.offload_cache:
        pytest.skip("a worker offloads the model of a job in full precision")
    exact = differ(picture(model, recipe), picture(on_cpu, replace(RECIPE, precision="full")))
    assert exact < (0.1 if precision == "full" else 2.0)


@rehearsable
@pytest.mark.parametrize("sampler", sorted(row.key for row in SAMPLERS))
def test_every_sampler_resembles_that_of_a_cpu(device: str, on_cpu: Model, sampler: str) -> None:
    model = Loader(device, Fingerprints(None)).load("tiny", PATH)
    recipe = replace(RECIPE, sampler=sampler)
    assert differ(picture(model, recipe), picture(on_cpu, recipe)) < 4


@rehearsable
@pytest.mark.parametrize(
    "changes",
    [
        {"width": 576, "height": 576, "steps": 2},
        {"cache_interval": 2},
        {"refiner_switch_at": 0.5},
    ],
    ids=["decoded in strips", "with kept layers", "refined"],
)
def test_other_jobs_resemble_those_of_a_cpu(
    model: Model, on_cpu: Model, changes: dict[str, Any]
) -> None:
    recipe = replace(RECIPE, **changes)
    made, expected = (picture(replace(one, refiner=one), recipe) for one in (model, on_cpu))
    assert differ(made, expected) < 4


@rehearsable
@pytest.mark.parametrize("offloaded", [False, True])
def test_a_model_with_two_text_encoders_resembles_that_of_a_cpu(
    device: str, offloaded: bool
) -> None:
    made = Loader(device, Fingerprints(None)).load("tiny-xl", PATH_XL, offloaded=offloaded)
    expected = Loader("cpu", Fingerprints(None)).load("tiny-xl", PATH_XL)
    assert differ(picture(made), picture(expected)) < 4


@rehearsable
@pytest.mark.parametrize("file", [None, SMALL_DECODER_PATH], ids=["projected", "decoded"])
def test_a_preview_resembles_that_of_a_cpu(
    model: Model, on_cpu: Model, device: str, file: Path | None
) -> None:
    latents = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(5))
    previews = LatentPreview(lambda _name: file)
    expected = previews.image(on_cpu, latents)
    # that of an offloaded model is always computed on the CPU
    assert differ(previews.image(model, latents.to(device)), expected) < 4


@rehearsable
def test_an_init_image_an_embedding_and_a_second_job(model: Model) -> None:
    first = picture(model)
    assert differ(picture(model), first) < 0.5
    assert picture(model, replace(RECIPE, inputs={"init": first}, strength=0.6)).size == (64, 64)
    changed = with_embeddings(model, {"thing": torch.randn(2, model.family.context_width)})
    assert picture(changed, replace(RECIPE, prompt="a red thing")).size == (64, 64)


@rehearsable
def test_a_picture_is_upscaled(device: str, on_cpu: Model) -> None:
    small = picture(on_cpu)
    large = [doubled(load_upscaler(UPSCALER_PATH, device=one), small) for one in (device, "cpu")]
    assert differ(*large) < 0.5


def good(x: Tensor) -> Tensor:
    return torch.relu(x @ x) + 1


def waits_for_the_gpu(x: Tensor) -> Tensor:
    return x + float(x.sum())


@on_gpu
def test_a_failed_recording_leaves_the_gpu_usable() -> None:
    recorder, x = CudaRecorder(), torch.ones(8, 8, device="cuda:0")
    before = recorder(good, (x,))
    for _ in range(2):
        with pytest.raises(RuntimeError):
            recorder(waits_for_the_gpu, (x,))
    torch.cuda.empty_cache()
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    for replay in (before, recorder(good, (x,))):
        assert replay(x).equal(good(x))
    torch.empty(1 << 20, pin_memory=True)


@on_gpu
def test_recordings_are_made_while_other_threads_compute_and_free_memory() -> None:
    stop, errors = threading.Event(), []
    convolution = torch.nn.Conv2d(4, 64, 3, padding=1, device="cuda:0")
    works: list[Callable[[], object]] = [
        lambda: torch.ones(1000, 1000, device="cuda:0").cpu(),
        lambda: convolution(torch.randn(1, 4, 64, 64).to("cuda:0")).sum().item(),
        free_memory,
    ]

    def others() -> None:
        while not stop.is_set():
            for work in works:
                try:
                    work()
                except Exception as error:
                    errors.append(error)

    thread = threading.Thread(target=others)
    thread.start()
    x = torch.ones(64, 64, device="cuda:0")
    try:
        for _ in range(20):
            assert CudaRecorder()(good, (x,))(x).equal(good(x))
    finally:
        stop.set()
        thread.join()
    assert not errors


@on_gpu
def test_the_memory_of_recordings_is_freed_with_their_model() -> None:
    loader = Loader("cuda:0", Fingerprints(None))
    loader.load("tiny", PATH)
    gc.collect()
    free_memory()
    before = torch.cuda.memory_reserved()
    model = loader.load("tiny", PATH)
    picture(model, replace(RECIPE, width=512, height=512))
    assert model.graphs
    assert any(model.graphs._recordings.values())
    del model
    gc.collect()
    free_memory()
    assert torch.cuda.memory_reserved() <= before + (64 << 20)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A GPU with 200 MB beside what is in use."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2e8) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@on_gpu
def test_a_worker_gets_over_memory_that_ran_out(tmp_path: Path, little_memory: None) -> None:
    engine = StableDiffusion("cuda", 1, tmp_path)
    model = Loader("cuda", Fingerprints(None)).load("tiny", PATH)
    assert picture(model).size == (64, 64)
    with pytest.raises(RuntimeError) as raised:
        picture(model, replace(RECIPE, width=2048, height=2048, batch_size=8))
    assert is_out_of_memory(raised.value)
    del raised
    engine.free_and_probe()
    assert picture(model).size == (64, 64)


@on_gpu
def test_guided_rows_at_once_and_apart_give_one_picture_from_a_streamed_model() -> None:
    loader = Loader("cuda:0", Fingerprints(None), max_unet_bytes=10**6)
    model = loader.load("tiny", PATH, offloaded=True)
    assert differ(picture(model), picture(model, replace(RECIPE, unet_batch=1))) < 0.5
