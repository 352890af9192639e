"""A refiner that goes on with a sampling is what diffusers makes of both models."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from PIL import Image
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.errors import RecipeError
from stable_diffusion.families.family import Family, Latents
from stable_diffusion.generate import generate
from stable_diffusion.image import to_tensor
from stable_diffusion.load_model import build_model
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.weights.reading import Weights
from tests.stable_diffusion import small_xl
from tests.stable_diffusion.small_xl import SMALL, SMALL_REFINER

WIDTH, HEIGHT, STEPS, SEED = 64, 96, 8, 9
INPAINT = small_xl.FAMILIES[1]
RECIPE = Recipe(
    prompt="a red circle",
    negative_prompt="blurry",
    width=WIDTH,
    height=HEIGHT,
    steps=STEPS,
    seed=SEED,
    sampler="k_euler",
    guidance_scale=5.0,
    precision="full",
    deterministic=True,
    refiner_switch_at=0.8,
)


class Recording(Model):
    """Keeps the latents that it decodes, and who was evaluated at which timestep."""

    def decode(self, latents: Tensor, **rest: Any) -> Tensor:
        decoded.append(latents.cpu())
        return super().decode(latents, **rest)

    def predict(self, x: Tensor, timestep: Tensor, conditioning: Conditioning, **rest: Any) -> Any:
        evaluated.append((self.family.id, round(timestep[0].item())))
        return super().predict(x, timestep, conditioning, **rest)


decoded: list[Tensor] = []
evaluated: list[tuple[str, int]] = []


def built(family: Family) -> Model:
    weights = Weights(family, small_xl.networks_of(family), "epsilon")
    return Recording(**vars(build_model(weights, Path("m"), name=family.id, fingerprint="0")))


@pytest.fixture(scope="module")
def models() -> tuple[Model, Model]:
    return built(SMALL), built(SMALL_REFINER)


def latents_of(model: Model, **changes: Any) -> Tensor:
    decoded.clear()
    evaluated.clear()
    list(generate(model, replace(RECIPE, **changes)))
    return torch.stack(decoded)


def pipeline(model: Model, *, refiner: bool) -> Any:
    parts = small_xl.components(model.networks, model.family, "epsilon")
    config = dict(parts["scheduler"].config)
    parts["scheduler"] = EulerDiscreteScheduler.from_config(config, timestep_spacing="linspace")
    if refiner:
        return small_xl.image_to_image(parts, scored=True)
    return small_xl.text_to_image(parts)


def test_it_goes_on_as_in_diffusers(models: tuple[Model, Model]) -> None:
    base, refiner = models
    arguments: dict[str, Any] = {
        "prompt": RECIPE.prompt,
        "negative_prompt": RECIPE.negative_prompt,
        "num_inference_steps": STEPS,
        "guidance_scale": RECIPE.guidance_scale,
        "output_type": "latent",
    }
    noise = NoiseSource([SEED], (4, HEIGHT // 8, WIDTH // 8)).initial()
    size = {"latents": noise, "height": HEIGHT, "width": WIDTH}
    half = pipeline(base, refiner=False)(**arguments, **size, denoising_end=0.8).images
    theirs = pipeline(refiner, refiner=True)(**arguments, image=half, denoising_start=0.8).images
    ours = latents_of(replace(base, refiner=refiner))
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-3
    assert evaluated == [
        *((SMALL.id, t) for t in (999, 856, 714, 571, 428, 285)),
        *((SMALL_REFINER.id, t) for t in (143, 0)),
    ]
    alone = latents_of(base)
    assert float((ours - alone).norm() / theirs.norm()) > 0.01


@pytest.mark.parametrize("sampler", ["ddim", "plms", "k_dpmpp_2m", "k_heun"])
def test_every_sampler_changes_over_below_a_noise_level(
    models: tuple[Model, Model], sampler: str
) -> None:
    base, refiner = models
    latents_of(replace(base, refiner=refiner), sampler=sampler, refiner_switch_at=0.5)
    asked = {family: [t for who, t in evaluated if who == family] for family, _ in evaluated}
    assert min(asked[SMALL.id]) >= 500 > max(asked[SMALL_REFINER.id])


def test_one_that_is_the_model_itself_changes_nothing(models: tuple[Model, Model]) -> None:
    """Two models of different noise levels also know a level by its own timestep in each."""
    base, _ = models
    alone = latents_of(base)
    assert torch.equal(latents_of(replace(base, refiner=base)), alone)
    latents_of(replace(base, refiner=replace(base, zero_snr=True)))
    usual = [999, 856, 714, 571, 428, 285, 143, 0]
    found = [timestep for _, timestep in evaluated]
    assert found[:6] == usual[:6]
    assert found[6] != usual[6]


def test_one_without_a_mask_of_its_own_keeps_what_an_inpainting_model_kept(
    models: tuple[Model, Model],
) -> None:
    _, refiner = models
    base = built(INPAINT)
    drawn = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB")
    mask = Image.new("L", (WIDTH, HEIGHT))
    mask.paste(255, (0, 0, WIDTH, HEIGHT // 2))
    inputs = {"init": drawn, "mask": mask}
    latents = latents_of(replace(base, refiner=refiner), inputs=inputs, refiner_switch_at=0.5)
    kept = base.encode(to_tensor(drawn))[:, HEIGHT // 16 :]
    torch.testing.assert_close(latents[0][:, HEIGHT // 16 :], kept, atol=1e-4, rtol=0)


def test_one_with_other_latents_is_refused(models: tuple[Model, Model]) -> None:
    base, _ = models
    other = replace(SMALL, latents=Latents(channels=4, factor=8, scale=0.18215))
    with pytest.raises(RecipeError, match=r"refiner 'other' .* has other latents than the model"):
        latents_of(replace(base, refiner=replace(base, name="other", family=other)))
