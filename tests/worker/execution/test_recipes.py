import io
from typing import Any

import pytest
from PIL import Image

from jobs.names import GenerationKind
from jobs.request import Request, parse_request
from stable_diffusion.prompt.grammar import read_prompt
from stable_diffusion.recipe import Recipe
from tests.png_chunks import broken_behind, broken_pixels
from tests.worker.conftest import png
from worker.errors import BadInputImage
from worker.execution.inputs import open_input
from worker.execution.job_warnings import warnings_of
from worker.execution.prompt_jobs import prompt_jobs_of
from worker.execution.recipes import recipe_of


def request(kind: GenerationKind = "txt2img", **body: Any) -> Request:
    if kind == "img2img":
        body.setdefault("init_img", png(Image.new("RGB", (32, 32))))
    parsed = parse_request(kind, {"prompt": "a", "type": "standard", **body})
    return parsed.settled(model="tiny", seed=parsed.seed or 0)


def recipe_for(request: Request, init: Image.Image | None = None) -> Recipe:
    (prompt_job,) = prompt_jobs_of(request, [request.prompt])
    return recipe_of(prompt_job, {"init": init} if init else {})


def stored(size: tuple[int, int]) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, "red").save(data, "PNG")
    return data.getvalue()


def test_every_parameter_of_the_request_reaches_the_recipe() -> None:
    recipe = recipe_for(
        request(
            negative_prompt="b",
            H=128,
            W=256,
            ddim_steps=9,
            sampler="DPM++ 2M Karras",
            scale=3,
            ddim_eta=0.5,
            seed=11,
            n_iter=2,
            n_samples=3,
            fixed_code=True,
            precision="full",
            turbo=False,
        )
    )
    assert (recipe.prompt, recipe.negative_prompt) == (read_prompt("a"), read_prompt("b"))
    assert (recipe.height, recipe.width, recipe.steps) == (128, 256, 9)
    assert (recipe.sampler, recipe.guidance_scale, recipe.eta) == ("k_dpmpp_2m_ka", 3, 0.5)
    assert (recipe.seed, recipe.iterations, recipe.batch_size) == (11, 2, 3)
    assert (recipe.fixed_code, recipe.precision, recipe.turbo) == (True, "full", False)
    assert (recipe.memory_plan, recipe.init_image) == ("standard", None)


def test_the_type_is_the_memory_plan() -> None:
    assert recipe_for(request(type="optimized")).memory_plan == "optimized"


def test_unet_bs_splits_the_batches_of_the_optimized_type_alone() -> None:
    assert recipe_for(request(type="optimized", unet_bs=4)).unet_batch == 4
    assert recipe_for(request(type="standard", unet_bs=4)).unet_batch is None


def test_an_init_image_is_fitted_to_the_requested_size() -> None:
    recipe = recipe_for(
        request("img2img", H=128, W=64, denoising_strength=0.25, noise_multiplier=1.5),
        init=open_input("init", stored((300, 200))),
    )
    assert recipe.init_image
    assert recipe.init_image.size == (64, 128)
    assert (recipe.strength, recipe.noise_multiplier) == (0.25, 1.5)


@pytest.mark.parametrize(
    "data", [b"", b"hello", stored((64, 64))[:60], broken_pixels(), broken_behind()]
)
def test_a_damaged_init_image_is_refused(data: bytes) -> None:
    with pytest.raises(BadInputImage):
        open_input("init", data)


def test_an_img2img_request_needs_its_init_image() -> None:
    with pytest.raises(BadInputImage):
        recipe_for(request("img2img"))


@pytest.mark.parametrize(
    ("requested", "device", "warning"),
    [
        (None, "cpu", ""),
        ("cpu", "cpu", ""),
        ("cuda", "cuda:0", ""),
        ("cuda", "cpu", "no CUDA device"),
        ("cuda:1", "cuda:0", "runs on cuda:0"),
    ],
)
def test_another_device_than_requested_is_a_warning(
    requested: str | None, device: str, warning: str
) -> None:
    warnings = warnings_of(request(device=requested), device=device)
    assert warning in " ".join(warnings)
    assert len(warnings) == bool(warning)
