"""Masks and images for the network: our latents are those of diffusers' own pipelines.

Where the two differ, it is on purpose: a latent may change as much as the most changeable of its
pixels, while diffusers asks its first one. So the masks here have edges between latents.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy
import pytest
import torch
from diffusers.pipelines.stable_diffusion import (
    pipeline_stable_diffusion_inpaint,
    pipeline_stable_diffusion_instruct_pix2pix,
)
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import (
    StableDiffusionInpaintPipeline,
)
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_instruct_pix2pix import (
    StableDiffusionInstructPix2PixPipeline,
)
from PIL import Image, ImageDraw
from torch import Tensor

from stable_diffusion.families import family_by_id
from stable_diffusion.image import to_tensor
from stable_diffusion.load_model import load_model
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers.noise import NoiseSource
from tests.stable_diffusion.decoded_latents import decoded_latents
from tests.stable_diffusion.layouts import (
    Write,
    ckpt,
    diffusers,
    pipeline_of,
    random_networks,
    safetensors,
)

SIDE, STEPS, SEED = 64, 4, 9
NOISE = NoiseSource([SEED], (4, SIDE // 8, SIDE // 8)).initial()
RECIPE = Recipe(
    prompt="a red circle",
    negative_prompt="blurry",
    width=SIDE,
    height=SIDE,
    steps=STEPS,
    seed=SEED,
    guidance_scale=5.0,
    precision="full",
    deterministic=True,
)


@pytest.fixture(autouse=True)
def same_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' pipelines start from our noise: given as `latents` it would replace the image."""
    for module in (pipeline_stable_diffusion_inpaint, pipeline_stable_diffusion_instruct_pix2pix):
        monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: NOISE)


def our_latents(model: Model, **changes: Any) -> Tensor:
    return decoded_latents(model, Recipe(**{**vars(RECIPE), **changes}))


def picture() -> Image.Image:
    image = Image.linear_gradient("L").resize((SIDE, SIDE)).convert("RGB")
    ImageDraw.Draw(image).ellipse((10, 10, 50, 40), fill=(200, 30, 90))
    return image


def mask() -> Image.Image:
    image = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(image).rectangle((16, 8, 47, 39), fill=255)
    return image


def networks_of(family_id: str) -> Networks:
    """Random ones, of which the autoencoder encodes without chance, as diffusers draws from it."""
    networks = random_networks(family_by_id(family_id))
    quant = networks.vae.quant_conv
    assert quant is not None
    quant.weight[4:] = 0
    quant.bias[4:] = -30.0  # type: ignore[index]
    return networks


def pipeline(kind: Callable[..., Any], networks: Networks, model: Model) -> Any:
    plain = pipeline_of(networks, model.family, model.prediction)
    plain.unet.register_to_config(sample_size=64)
    made = kind(**plain.components, requires_safety_checker=False)
    made.set_progress_bar_config(disable=True)
    return made


def their_latents(made: Any, **arguments: Any) -> Tensor:
    return made(
        prompt=RECIPE.prompt,
        negative_prompt=RECIPE.negative_prompt,
        num_inference_steps=STEPS,
        guidance_scale=RECIPE.guidance_scale,
        output_type="latent",
        **arguments,
    ).images


Load = Callable[[str, Write], tuple[Networks, Model]]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    """Writes random networks and loads them, each once."""

    @cache
    def loaded(family_id: str, write: Write) -> tuple[Networks, Model]:
        networks = networks_of(family_id)
        folder = tmp_path_factory.mktemp(family_id)
        path = write(networks, family_by_id(family_id), folder, torch.float32)
        return networks, load_model(
            path, name="model", prediction="v" if "v2" in family_id else "epsilon"
        )

    return loaded


def difference(ours: Tensor, theirs: Tensor) -> float:
    assert theirs.isfinite().all()
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("strength", [1.0, 0.75])
@pytest.mark.parametrize(
    ("family_id", "write"),
    [
        ("tiny-inpaint", safetensors),
        ("tiny-inpaint", ckpt),
        ("tiny-v2-inpaint", diffusers),
    ],
)
def test_nine_channels_are_those_of_diffusers_inpainting(
    load: Load, family_id: str, write: Write, strength: float
) -> None:
    networks, model = load(family_id, write)
    assert model.family.id == family_id
    made = pipeline(StableDiffusionInpaintPipeline, networks, model)
    theirs = their_latents(
        made,
        image=picture(),
        mask_image=mask(),
        strength=strength,
        height=SIDE,
        width=SIDE,
    )
    inputs = {"init": picture(), "mask": mask()}
    ours = our_latents(model, inputs=inputs, strength=strength)
    assert difference(ours, theirs) < 1e-3
    whole = {"init": picture(), "mask": Image.new("L", (SIDE, SIDE), 255)}
    assert difference(our_latents(model, inputs=whole, strength=strength), theirs) > 0.01


@pytest.mark.parametrize("family_id", ["tiny", "tiny-v2"])
def test_four_channels_are_those_of_diffusers_inpainting(load: Load, family_id: str) -> None:
    networks, model = load(family_id, safetensors)
    made = pipeline(StableDiffusionInpaintPipeline, networks, model)
    theirs = their_latents(
        made, image=picture(), mask_image=mask(), strength=0.75, height=SIDE, width=SIDE
    )
    ours = our_latents(model, inputs={"init": picture(), "mask": mask()}, strength=0.75)
    assert difference(ours, theirs) < 1e-3
    assert difference(our_latents(model, inputs={"init": picture()}, strength=0.75), theirs) > 0.01


@pytest.mark.parametrize("write", [safetensors, diffusers])
@pytest.mark.parametrize("image_scale", [1.5, 1.0])
def test_eight_channels_are_those_of_diffusers_instruct_pix2pix(
    load: Load, write: Write, image_scale: float
) -> None:
    networks, model = load("tiny-instruct", write)
    assert model.family.id == "tiny-instruct"
    made = pipeline(StableDiffusionInstructPix2PixPipeline, networks, model)
    theirs = their_latents(made, image=picture(), image_guidance_scale=image_scale)
    changes: dict[str, Any] = {"inputs": {"init": picture()}, "strength": 1.0}
    ours = our_latents(model, **changes, image_scale=image_scale)
    assert difference(ours, theirs) < 1e-3
    assert difference(our_latents(model, **changes, image_scale=3.0), theirs) > 0.01


@pytest.mark.parametrize("family_id", ["tiny", "tiny-v2"])
def test_grey_changes_as_in_differential_diffusion(load: Load, family_id: str) -> None:
    """Against the loop of diffusers' community pipeline, which is not in its package."""
    networks, model = load(family_id, safetensors)
    soft = Image.new("L", (SIDE, SIDE))
    for number, value in enumerate((30, 90, 150, 200, 255)):
        soft.paste(value, (8 * number, 0, 8 * number + 8, SIDE))
    steps = 8
    plain: Any = pipeline_of(networks, model.family, model.prediction)
    scheduler, unet = plain.scheduler, plain.unet
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps[steps // 4 :]
    init = model.encode(to_tensor(picture()))[None]
    small = torch.from_numpy(
        numpy.asarray(soft.resize((SIDE // 8, SIDE // 8), Image.Resampling.NEAREST)) / 255.0
    )
    positive, negative = model.encode_prompts(RECIPE.prompt, RECIPE.negative_prompt, (SIDE, SIDE))
    text = torch.cat([negative.at(0).context, positive.at(0)[0][1].context])
    latents = scheduler.add_noise(init, NOISE, timesteps[:1])
    with torch.inference_mode():
        for i, t in enumerate(timesteps):
            if i > 0:
                kept = (1 - small > i / len(timesteps)).float()
                latents = scheduler.add_noise(init, NOISE, t[None]) * kept + latents * (1 - kept)
            without, with_text = unet(torch.cat([latents] * 2), t, text).sample.chunk(2)
            noise = without + RECIPE.guidance_scale * (with_text - without)
            latents = scheduler.step(noise, t, latents).prev_sample
    inputs = {"init": picture(), "mask": soft}
    ours = our_latents(model, inputs=inputs, steps=steps, strength=0.75)
    free = small > 0
    assert difference(ours[..., free].float(), latents[..., free].float()) < 1e-3
    hard = {"init": picture(), "mask": soft.point(lambda value: 255 if value else 0)}
    other = our_latents(model, inputs=hard, steps=steps, strength=0.75)
    assert difference(other[..., free].float(), latents[..., free].float()) > 0.01
