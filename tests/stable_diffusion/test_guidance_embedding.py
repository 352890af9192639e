"""A UNet that takes the guidance scale as an input: latent consistency models."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from diffusers.pipelines.latent_consistency_models.pipeline_latent_consistency_text2img import (
    LatentConsistencyModelPipeline,
)
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from safetensors.torch import load_file, save_file

from stable_diffusion.cuda.graphs import Graphs
from stable_diffusion.families import family_by_id
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.loader import Loader
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.offload.plan import parts_in_order
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.step_batching import StepBatcher
from stable_diffusion.weights.fingerprint import Fingerprints
from stable_diffusion.weights.saving import save_checkpoint
from stable_diffusion.weights.weight_cache import WeightCache
from tests.stable_diffusion.fake_recorder import FakeRecorder
from tests.stable_diffusion.layouts import diffusers, empty, pipeline_of, random_networks

SIDE = 64
FAMILY = family_by_id("tiny-lcm")
RECIPE = Recipe(
    prompt="a red circle",
    negative_prompt="blue",
    width=SIDE,
    height=SIDE,
    steps=4,
    sampler="lcm",
    guidance_scale=8.5,
    seed=3,
)
IN_ORIGINAL = "model.diffusion_model.time_embedding.cond_proj.weight"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "lcm.safetensors"
    save_checkpoint(random_networks(FAMILY), FAMILY, path, dtype=torch.float32)
    return path


@pytest.fixture(scope="module")
def loaded(file: Path) -> Model:
    """From the weight cache, so that all memory plans apply."""
    cache = WeightCache(file.parent / "cache", 2**30, min_bytes=0)
    loader = Loader("cpu", Fingerprints(file.parent / "fingerprints.json"), cache)
    loader.load("lcm", file)
    model = loader.load("lcm", file)
    assert (model.mapped, model.family.id) == (True, "tiny-lcm")
    return model


def pixels(model: Model, recipe: Recipe = RECIPE) -> bytes:
    (picture,) = generate(model, recipe)
    return picture.image.tobytes()


def embedding_of(model: Model) -> torch.Tensor:
    return model.networks.unet.get_parameter("time_embedding.cond_proj.weight")


def test_the_picture_is_that_of_diffusers_pipeline(loaded: Model, monkeypatch: Any) -> None:
    networks = random_networks(FAMILY)
    plain = pipeline_of(networks, FAMILY)
    scheduler = LCMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    pipeline = LatentConsistencyModelPipeline(
        vae=plain.vae,
        text_encoder=plain.text_encoder,
        tokenizer=plain.tokenizer,
        unet=plain.unet,
        scheduler=scheduler,
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )
    source = NoiseSource((RECIPE.seed,), FAMILY.latents.shape(SIDE, SIDE))
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_lcm.randn_tensor", lambda *_args, **_kwargs: source.step()
    )
    pipeline.set_progress_bar_config(disable=True)
    made: Any = pipeline(
        str(RECIPE.prompt),
        height=SIDE,
        width=SIDE,
        num_inference_steps=RECIPE.steps,
        guidance_scale=RECIPE.guidance_scale,
        latents=source.initial(),
        output_type="np",
    )
    expected = made.images[0] * 255
    (picture,) = generate(loaded, RECIPE)
    ours = numpy.asarray(picture.image).astype(float)
    assert expected.std() > 1
    assert abs(ours - expected).max() < 1  # a picture is rounded to whole numbers


def test_no_second_row_is_evaluated(loaded: Model, monkeypatch: Any) -> None:
    rows: list[int] = []
    forward = loaded.networks.unet.forward

    def counted(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        rows.append(len(x))
        return forward(x, *args, **kwargs)

    monkeypatch.setattr(loaded.networks.unet, "forward", counted)
    expected = pixels(loaded)
    assert rows == [1] * RECIPE.steps
    assert pixels(loaded, replace(RECIPE, negative_prompt="")) == expected
    assert pixels(loaded, replace(RECIPE, guidance_scale=2.0)) != expected


def test_every_mode_gives_the_same_picture(loaded: Model) -> None:
    expected = pixels(loaded)
    recorder = FakeRecorder()
    assert pixels(loaded, replace(RECIPE, memory_plan="optimized")) == expected
    assert pixels(replace(loaded, step_batcher=StepBatcher(1))) == expected
    assert pixels(replace(loaded, graphs=Graphs(recorder))) == expected
    assert recorder.inputs == [4]  # latents, timesteps, text and the guidance scale
    plain = empty(family_by_id("tiny")).unet
    assert parts_in_order(loaded.networks.unet) == parts_in_order(plain)


def test_every_layout_is_read(file: Path, loaded: Model, tmp_path: Path) -> None:
    expected = pixels(loaded)
    folder = diffusers(random_networks(FAMILY), FAMILY, tmp_path, torch.float32)
    assert pixels(load_model(folder, name="lcm")) == expected
    tensors = load_file(file)
    tensors["model.diffusion_model.time_embed.cond_proj.weight"] = tensors.pop(IN_ORIGINAL)
    renamed = tmp_path / "renamed.safetensors"
    save_file(tensors, renamed)
    assert pixels(load_model(renamed, name="lcm")) == expected


def test_a_lora_may_change_the_embedding(loaded: Model, tmp_path: Path) -> None:
    weight = embedding_of(loaded)
    path = tmp_path / "lora.safetensors"
    added = torch.randn_like(weight)
    save_file({"lora_unet_time_embedding_cond_proj.diff": added}, path)
    changed = with_loras(loaded, [(read_lora(path), 1.0)])
    assert torch.allclose(embedding_of(changed), weight + added)
    assert not changed.warnings
