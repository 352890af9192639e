"""Stable Diffusion XL: small random models give the latents of diffusers' own pipelines."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion_xl import (
    pipeline_stable_diffusion_xl_img2img,
    pipeline_stable_diffusion_xl_inpaint,
)
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file
from torch import Tensor

from stable_diffusion import families
from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.load_model import load_model
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.saving import original_tensors
from stable_diffusion.weights.weight_cache import WeightCache
from tests.stable_diffusion import small_xl
from tests.stable_diffusion.decoded_latents import decoded_latents
from tests.stable_diffusion.small_xl import SMALL, SMALL_REFINER

WIDTH, HEIGHT, STEPS, SEED = 64, 96, 4, 9
NOISE = NoiseSource([SEED], (4, HEIGHT // 8, WIDTH // 8)).initial()
RECIPE = Recipe(
    prompt="a red circle",
    negative_prompt="blurry",
    width=WIDTH,
    height=HEIGHT,
    steps=STEPS,
    seed=SEED,
    guidance_scale=5.0,
    precision="full",
    deterministic=True,
)
INPAINT = small_xl.FAMILIES[1]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """diffusers' pipelines start from our noise: given as `latents` it would replace the image."""
    monkeypatch.setattr(families, "FAMILIES", (*families.FAMILIES, *small_xl.FAMILIES))
    for module in (pipeline_stable_diffusion_xl_img2img, pipeline_stable_diffusion_xl_inpaint):
        monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: NOISE)


@pytest.fixture(scope="module")
def networks() -> dict[str, Networks]:
    return {each.id: small_xl.networks_of(each) for each in (SMALL, INPAINT, SMALL_REFINER)}


def write_file(networks: Networks, family: Family, folder: Path, prediction: Prediction) -> Path:
    """With the tensors that published files have beside the weights."""
    path = folder / "model.safetensors"
    others = {
        "conditioner.embedders.0.transformer.text_model.embeddings.position_ids": torch.arange(77),
        "conditioner.embedders.1.model.logit_scale": torch.tensor(4.6),
    }
    if prediction == "v":
        others["v_pred"] = torch.zeros(0)
    save_file(original_tensors(networks, family, torch.float32) | others, path)
    return path


def load(
    networks: Networks,
    family: Family,
    folder: Path,
    prediction: Prediction = "epsilon",
    layout: str = "original",
) -> Model:
    write = write_file if layout == "original" else small_xl.write_folder
    model = load_model(write(networks, family, folder, prediction), name="model")
    assert (model.family, model.prediction) == (family, prediction)
    return model


def our_latents(model: Model, **changes: Any) -> Tensor:
    return decoded_latents(model, replace(RECIPE, **changes))


def their_latents(made: Any, **arguments: Any) -> Tensor:
    return made(
        **{
            "prompt": RECIPE.prompt,
            "negative_prompt": RECIPE.negative_prompt,
            "num_inference_steps": STEPS,
            "guidance_scale": RECIPE.guidance_scale,
            "output_type": "latent",
            **arguments,
        }
    ).images


def difference(ours: Tensor, theirs: Tensor) -> float:
    assert theirs.isfinite().all()
    return float((ours - theirs).norm() / theirs.norm())


def picture() -> Image.Image:
    image = Image.linear_gradient("L").resize((WIDTH, HEIGHT)).convert("RGB")
    ImageDraw.Draw(image).ellipse((10, 10, 50, 40), fill=(200, 30, 90))
    return image


def mask() -> Image.Image:
    image = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(image).rectangle((16, 8, 47, 39), fill=255)
    return image


@pytest.mark.parametrize(
    ("layout", "prediction"), [("original", "epsilon"), ("original", "v"), ("diffusers", "v")]
)
def test_text_to_image_is_that_of_diffusers(
    networks: dict[str, Networks], layout: str, prediction: Prediction, tmp_path: Path
) -> None:
    own = networks[SMALL.id]
    model = load(own, SMALL, tmp_path, prediction, layout)
    made = small_xl.text_to_image(small_xl.components(own, SMALL, prediction))
    size = {"latents": NOISE, "height": HEIGHT, "width": WIDTH}
    theirs = their_latents(made, **size)
    assert difference(our_latents(model), theirs) < 1e-3
    assert difference(our_latents(model, prompt="a blue cat"), theirs) > 0.01


def test_an_empty_negative_prompt_is_zeros_unless_told_otherwise(
    networks: dict[str, Networks], tmp_path: Path
) -> None:
    own = networks[SMALL.id]
    model = load(own, SMALL, tmp_path)
    made = small_xl.text_to_image(small_xl.components(own, SMALL, "epsilon"))
    size = {"latents": NOISE, "height": HEIGHT, "width": WIDTH}
    zeros = their_latents(made, **size, negative_prompt=None)
    encoded = their_latents(made, **size, negative_prompt="")
    for zero_negative, theirs in ((None, zeros), (True, zeros), (False, encoded)):
        ours = our_latents(model, negative_prompt="", zero_negative=zero_negative)
        assert difference(ours, theirs) < 1e-3
    assert difference(zeros, encoded) > 0.01


def test_image_to_image_is_that_of_diffusers(networks: dict[str, Networks], tmp_path: Path) -> None:
    own = networks[SMALL.id]
    model = load(own, SMALL, tmp_path)
    made = small_xl.image_to_image(small_xl.components(own, SMALL, "epsilon"))
    theirs = their_latents(made, image=picture(), strength=0.75)
    ours = our_latents(model, inputs={"init": picture()}, strength=0.75)
    assert difference(ours, theirs) < 1e-3


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_the_refiner_is_that_of_diffusers(
    networks: dict[str, Networks], layout: str, tmp_path: Path
) -> None:
    own = networks[SMALL_REFINER.id]
    model = load(own, SMALL_REFINER, tmp_path, layout=layout)
    parts = small_xl.components(own, SMALL_REFINER, "epsilon")
    made = small_xl.image_to_image(parts, scored=True)
    theirs = their_latents(made, image=picture(), strength=0.75)
    changes: dict[str, Any] = {"inputs": {"init": picture()}, "strength": 0.75}
    assert difference(our_latents(model, **changes), theirs) < 1e-3
    other = their_latents(made, image=picture(), strength=0.75, negative_aesthetic_score=6.0)
    assert difference(other, theirs) > 1e-4


@pytest.mark.parametrize(
    ("family", "strength", "prediction"),
    [
        (SMALL, 0.75, "epsilon"),
        (INPAINT, 1.0, "epsilon"),
        (SMALL, 0.75, "v"),
        (INPAINT, 1.0, "v"),
    ],
)
def test_masks_are_those_of_diffusers(
    networks: dict[str, Networks],
    family: Family,
    strength: float,
    prediction: Prediction,
    tmp_path: Path,
) -> None:
    """Those that predict v go up to pure noise, as published ones do."""
    own, zero_snr = networks[family.id], prediction == "v"
    model = replace(load(own, family, tmp_path, prediction), zero_snr=zero_snr)
    made = small_xl.inpainting(small_xl.components(own, family, prediction, zero_snr=zero_snr))
    theirs = their_latents(
        made,
        image=picture(),
        mask_image=mask(),
        strength=strength,
        height=HEIGHT,
        width=WIDTH,
    )
    inputs = {"init": picture(), "mask": mask()}
    assert difference(our_latents(model, inputs=inputs, strength=strength), theirs) < 1e-3


def test_levels_up_to_pure_noise_are_those_of_diffusers(
    networks: dict[str, Networks], tmp_path: Path
) -> None:
    own = networks[SMALL.id]
    parts = small_xl.components(own, SMALL, "v", zero_snr=True)
    path = small_xl.write_folder(own, SMALL, tmp_path, "v")
    parts["scheduler"].save_pretrained(path / "scheduler")
    model = load_model(path, name="model")
    assert (model.prediction, model.zero_snr) == ("v", True)
    config = dict(parts["scheduler"].config)
    scheduler = EulerDiscreteScheduler.from_config(config, timestep_spacing="linspace")
    made = small_xl.text_to_image({**parts, "scheduler": scheduler})
    theirs = their_latents(made, latents=NOISE, height=HEIGHT, width=WIDTH)
    assert difference(our_latents(model, sampler="k_euler"), theirs) < 1e-3
    plain = our_latents(replace(model, zero_snr=False), sampler="k_euler")
    assert difference(plain, theirs) > 0.01


def test_a_ready_copy_draws_the_same_in_every_memory_plan(
    networks: dict[str, Networks], tmp_path: Path
) -> None:
    path = write_file(networks[SMALL.id], SMALL, tmp_path, "v")
    save_file(load_file(path) | {"ztsnr": torch.zeros(0)}, path)
    cache = WeightCache(tmp_path / "copies", 2**30, min_bytes=0)
    loader = Loader("cpu", Fingerprints(tmp_path / "fingerprints.json"), cache)
    read = loader.load("xl", path)
    copy = loader.load("xl", path)
    assert (copy.mapped, copy.prediction, copy.zero_snr) == (True, "v", True)
    expected = our_latents(read)
    assert torch.equal(our_latents(copy), expected)
    assert torch.equal(our_latents(copy, memory_plan="optimized"), expected)
