import io
import math
from typing import Any

import pytest
from PIL import Image

from jobs.names import GenerationKind
from jobs.validation.request import Request, parse_request
from stable_diffusion.prompt.grammar import read_prompt
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers.variation import NO_VARIATION, Variation
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
    (prompt_job,) = prompt_jobs_of(request)
    return recipe_of(prompt_job, {"init": init} if init else {}, lambda image: image)


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
            seed=11,
            n_iter=2,
            n_samples=3,
            fixed_code=True,
            precision="full",
            turbo=False,
            clip_skip=2,
            zero_negative=True,
        )
    )
    assert (recipe.prompt, recipe.negative_prompt) == (read_prompt("a"), read_prompt("b"))
    assert (recipe.height, recipe.width, recipe.steps) == (128, 256, 9)
    assert (recipe.sampler, recipe.guidance_scale) == ("k_dpmpp_2m_ka", 3)
    assert (recipe.seed, recipe.iterations, recipe.batch_size) == (11, 2, 3)
    assert (recipe.fixed_code, recipe.precision, recipe.turbo) == (True, "full", False)
    assert (recipe.clip_skip, recipe.zero_negative) == (2, True)
    assert (recipe.memory_plan, recipe.init_image) == ("standard", None)


def test_the_options_of_the_sampling_reach_the_recipe() -> None:
    recipe = recipe_for(
        request(
            scheduler="SGM Uniform",
            s_churn=3,
            s_tmin=0.1,
            s_tmax=9,
            s_noise=0.9,
            guidance_rescale=0.7,
            guidance_start=0.1,
            guidance_end=0.8,
            tiling=True,
            cache={"interval": 3},
        )
    )
    assert (recipe.scheduler, recipe.tiling) == ("sgm_uniform", True)
    of_two = {"refiner": {"ckpt": "sdxl-refiner"}, "hires_scale": 2}
    refined, twice = (
        recipe_for(request(**body)) for body in ({**of_two, "hires_scale": None}, of_two)
    )
    assert (refined.refiner_switch_at, recipe.refiner_switch_at) == (0.8, None)
    assert twice.second_pass
    assert (twice.refiner_switch_at, twice.second_pass.recipe.refiner_switch_at) == (None, 0.8)
    assert (recipe.cache_interval, recipe_for(request()).cache_interval) == (3, 1)
    assert (recipe.s_churn, recipe.s_tmin, recipe.s_tmax, recipe.s_noise) == (3, 0.1, 9, 0.9)
    assert (recipe.guidance_rescale, recipe.guidance_start, recipe.guidance_end) == (0.7, 0.1, 0.8)
    assert recipe_for(request()).s_tmax == math.inf


@pytest.mark.parametrize(
    ("body", "eta"),
    [
        ({"sampler": "ddim", "ddim_eta": 0.5}, 0.5),
        ({"sampler": "ddim_cfgpp", "ddim_eta": 0.5}, 0.5),
        ({"sampler": "ddim", "ddim_eta": 0.5, "eta": 0.2}, 0.2),
        ({"sampler": "k_euler_a", "ddim_eta": 0.5}, None),
        ({"sampler": "k_euler_a", "eta": 0.2}, 0.2),
        ({"sampler": "k_euler_a"}, None),
    ],
)
def test_ddim_eta_is_for_ddim_and_eta_for_all(body: dict[str, Any], eta: float | None) -> None:
    assert recipe_for(request(**body)).eta == eta


def test_a_variation_has_the_size_of_the_request_where_it_names_none() -> None:
    recipe = recipe_for(request(variation_seed=5, variation_strength=0.3))
    assert recipe.variation == Variation(5, 0.3)
    recipe = recipe_for(request(H=128, W=256, seed_resize_from_w=64))
    assert recipe.variation == Variation(size=(16, 8))
    assert recipe_for(request(variation_seed=5)).variation == NO_VARIATION


def test_a_variation_has_the_size_of_an_extended_picture() -> None:
    body = {"H": 64, "W": 64, "extend": {"left": 64}, "seed_resize_from_h": 32}
    extended = recipe_for(request("img2img", **body), Image.new("RGB", (128, 64)))
    assert extended.variation == Variation(size=(4, 16))


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


def test_the_prompts_are_read_in_the_grammar_of_the_request() -> None:
    recipe = recipe_for(
        request(prompt="a AND b", negative_prompt="c AND d", prompt_grammar="a1111")
    )
    assert recipe.prompt == read_prompt("a AND b", "a1111")
    assert recipe.negative_prompt == read_prompt("c AND d", "a1111", negative=True)
