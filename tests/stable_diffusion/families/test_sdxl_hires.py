"""A second pass, masks and step batching of an SDXL that predicts v up to pure noise."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_img2img
from PIL import Image
from torch.nn.functional import interpolate

from stable_diffusion.generate import generate
from stable_diffusion.load_model import build_model
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe, SecondPass
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.weights.reading import Weights
from tests.stable_diffusion import small_xl
from tests.stable_diffusion.decoded_latents import decoded_latents
from tests.stable_diffusion.small_xl import SMALL

SIDE, LARGER, STEPS, SEED = 64, 96, 4, 9
FIRST = Recipe(
    prompt="a red circle",
    negative_prompt="blurry",
    width=SIDE,
    height=SIDE,
    steps=STEPS,
    seed=SEED,
    guidance_scale=5.0,
    precision="full",
)
SECOND = replace(FIRST, width=LARGER, height=LARGER, strength=0.75, steps_before=STEPS)
HIRES = replace(FIRST, second_pass=SecondPass(recipe=SECOND, enlarge="latent"))


@pytest.fixture(scope="module")
def model() -> Model:
    weights = Weights(SMALL, small_xl.networks_of(SMALL), "v", zero_snr=True)
    return build_model(weights, Path("m"), name="model", fingerprint="0")


def test_a_second_pass_is_image_to_image_of_diffusers(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = small_xl.components(model.networks, SMALL, "v", zero_snr=True)
    noise, again = (
        NoiseSource([SEED], (4, side // 8, side // 8)).initial() for side in (SIDE, LARGER)
    )
    monkeypatch.setattr(
        pipeline_stable_diffusion_xl_img2img, "randn_tensor", lambda *_, **__: again
    )
    arguments: dict[str, Any] = {
        "prompt": FIRST.prompt,
        "negative_prompt": FIRST.negative_prompt,
        "num_inference_steps": STEPS,
        "guidance_scale": FIRST.guidance_scale,
        "output_type": "latent",
    }
    first = small_xl.text_to_image(parts)(latents=noise, height=SIDE, width=SIDE, **arguments)
    larger = interpolate(first.images, size=(LARGER // 8, LARGER // 8), mode="bilinear")
    theirs = small_xl.image_to_image(parts)(image=larger, strength=0.75, **arguments).images
    ours = decoded_latents(model, HIRES)
    assert theirs.isfinite().all()
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-3
    other = decoded_latents(replace(model, zero_snr=False), HIRES)
    assert float((other - theirs).norm() / theirs.norm()) > 0.01


def test_jobs_of_every_kind_give_the_same_pictures_batched(model: Model) -> None:
    drawn = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (0, 0, SIDE, SIDE // 2))
    masked = replace(FIRST, inputs={"init": drawn, "mask": mask}, strength=0.75, seed=3)
    recipes = (HIRES, masked, replace(HIRES, sampler="k_euler", seed=5), FIRST)

    def pictures(of: Model, recipe: Recipe) -> Any:
        (made,) = generate(of, recipe)
        return numpy.asarray(made.image).astype(int)

    alone = [pictures(model, recipe) for recipe in recipes]
    assert all(picture.std() > 5 for picture in alone)
    batcher = StepBatcher(1)
    shared = replace(model, step_batcher=batcher)
    with ThreadPoolExecutor(len(recipes)) as pool:
        together = list(pool.map(lambda recipe: pictures(shared, recipe), recipes))
    for one, other in zip(alone, together, strict=True):
        assert one.shape == other.shape
        assert abs(one - other).max() <= 3
    assert not batcher._pending
