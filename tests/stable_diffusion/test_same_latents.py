"""Models of random weights in every layout: our latents are those of diffusers' own pipeline.

The full-size ones take minutes and gigabytes each; their files are deleted one by one.
"""

import gc
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from torch import Tensor

from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.families.sd2 import SD2
from stable_diffusion.families.tiny import TINY, TINY_V2
from stable_diffusion.load_model import load_model
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks, parts_of
from stable_diffusion.samplers import resolve
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.estimate import EstimateOptions
from stable_diffusion.samplers.guided import GuidedNetwork
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampling import sample
from stable_diffusion.samplers.schedule import NoiseSchedule
from stable_diffusion.weights.state_dict_loading import empty_networks
from tests.stable_diffusion.layouts import (
    Write,
    bare_ckpt,
    ckpt,
    diffusers,
    diffusers_bin,
    diffusers_fp16,
    diffusers_in_shards,
    pipeline_of,
    random_networks,
    safetensors,
    safetensors_with_ema,
)

pytestmark = pytest.mark.heavy

Kind = tuple[str, Family, Prediction]
KINDS: tuple[Kind, ...] = (
    ("sd15", SD1, "epsilon"),
    ("sd21", SD2, "epsilon"),
    ("sd21v", SD2, "v"),
)
SMALL_KINDS: tuple[Kind, ...] = (("small", TINY, "epsilon"), ("small-v2", TINY_V2, "v"))
LAYOUTS: tuple[Write, ...] = (
    safetensors,
    safetensors_with_ema,
    ckpt,
    bare_ckpt,
    diffusers,
    diffusers_in_shards,
    diffusers_fp16,
    diffusers_bin,
)
PROMPT, NEGATIVE = "a painting of a fox in a forest, detailed", "blurry"
SIDE, STEPS, SCALE = 256, 3, 7.5


def half(kind: Kind) -> Networks:
    """Random networks in half precision, as the files will be."""
    networks = random_networks(kind[1])
    for _, module in parts_of(networks):
        module.half()
    return networks


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind[0])
def full_size(request: pytest.FixtureRequest) -> Iterator[tuple[Kind, Networks]]:
    yield request.param, half(request.param)
    gc.collect()


@pytest.fixture(scope="module", params=SMALL_KINDS, ids=lambda kind: kind[0])
def small(request: pytest.FixtureRequest) -> tuple[Kind, Networks]:
    return request.param, half(request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("full-size")


def noise() -> Tensor:
    return NoiseSource([9], (4, SIDE // 8, SIDE // 8)).initial()


def our_latents(model: Model) -> Tensor:
    positive, negative = model.encode_prompts(PROMPT, NEGATIVE, (SIDE, SIDE))
    guided = GuidedNetwork(
        network=partial(model.predict, precision="full"),
        schedule=NoiseSchedule(),
        prediction=model.prediction,
        positive=positive,
        negative=negative,
        options=EstimateOptions(guidance_scale=SCALE),
    )
    denoiser = Denoiser(guided)
    source = NoiseSource([9], (4, SIDE // 8, SIDE // 8))
    return sample(resolve("ddim"), denoiser, source, steps=STEPS)


def their_latents(path: Path, kind: Kind, folder: Path) -> Tensor:
    _, family, prediction = kind
    options: dict[str, Any] = {"torch_dtype": torch.float32, "local_files_only": True}
    if path.is_dir():
        fp16 = bool(list(path.glob("unet/*.fp16.*")))
        pipeline = StableDiffusionPipeline.from_pretrained(
            path, variant="fp16" if fp16 else None, **options
        )
    else:
        config = configurations(folder / "config", family, prediction)
        pipeline = StableDiffusionPipeline.from_single_file(
            str(path), config=str(config), safety_checker=None, **options
        )
    pipeline.set_progress_bar_config(disable=True)
    made: Any = pipeline(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        latents=noise(),
        height=SIDE,
        width=SIDE,
        num_inference_steps=STEPS,
        guidance_scale=SCALE,
        output_type="latent",
    )
    return made.images


def configurations(path: Path, family: Family, prediction: Prediction) -> Path:
    """What `from_single_file` fetches from the hub, written here: everything but the weights."""
    shutil.rmtree(path, ignore_errors=True)
    pipeline = pipeline_of(empty_networks(family), family, prediction)
    pipeline.save_config(path)
    for part in ("unet", "vae", "scheduler"):
        getattr(pipeline, part).save_config(path / part)
    pipeline.text_encoder.config.save_pretrained(path / "text_encoder")
    pipeline.tokenizer.save_pretrained(path / "tokenizer")
    return path


def say_what_it_predicts(path: Path, prediction: Prediction) -> None:
    """As the published models do: a configuration beside the file."""
    if path.is_file():
        written = "v" if prediction == "v" else "eps"
        path.with_suffix(".yaml").write_text(f"model: {{params: {{parameterization: {written}}}}}")


def agree(kind: Kind, networks: Networks, write: Write, folder: Path) -> None:
    """Write, load by both, compare, delete."""
    name, family, prediction = kind
    path = write(networks, family, folder, torch.float16)
    try:
        if path.is_dir():
            # a folder states it in its scheduler
            (path / "scheduler" / "scheduler_config.json").unlink()
            pipeline_of(networks, family, prediction).scheduler.save_config(path / "scheduler")
        say_what_it_predicts(path, prediction)
        theirs = their_latents(path, kind, folder)
        gc.collect()
        model = load_model(path, name=name)
        assert (model.family, model.prediction) == (family, prediction)
        ours = our_latents(model)
    finally:
        shutil.rmtree(folder)
        folder.mkdir()
    assert torch.isfinite(theirs).all()
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-3
    # what the network says is a large part of that
    assert float((theirs - noise() * theirs.std()).norm() / theirs.norm()) > 0.1


@pytest.mark.parametrize("write", [safetensors, ckpt, diffusers], ids=lambda write: write.__name__)
def test_our_latents_are_those_of_diffusers_own_pipeline(
    small: tuple[Kind, Networks], write: Write, folder: Path
) -> None:
    agree(*small, write, folder)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("write", LAYOUTS, ids=lambda write: write.__name__)
def test_so_they_are_at_full_size(
    full_size: tuple[Kind, Networks], write: Write, folder: Path
) -> None:
    agree(*full_size, write, folder)
