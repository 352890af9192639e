"""What `cache` and a guidance interval save, and how far their pictures are from the full ones.

The time is that of evaluations of a full-size SD 1.5 with random weights, 512 x 512; a sampling has
known numbers of full and of shallow ones. The distance is that of the tiny model's pictures.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy
import torch

from benchmarks.checkpoints import random_checkpoint
from benchmarks.harness import BenchmarkOptions, Figure, figure, in_turns
from stable_diffusion.conditioning import Conditioning
from stable_diffusion.deep_cache import DeepCache
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.tiny import PATH
from stable_diffusion.weights.fingerprint import Fingerprints

STEPS = 25
INTERVALS = (2, 3, 5)
GUIDANCE_END = 0.6
RECIPE = Recipe(prompt="", steps=STEPS, sampler="k_dpmpp_2m_ka", width=256, height=256, seed=7)
PROMPTS = ("a red dragon on a beach", "a blue cat", "a green tree")


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """Seconds of an evaluation, the time of a sampling beside the full one, and the distance."""
    file = random_checkpoint(options.folder / "model.safetensors", 1)
    model = Loader("cpu", Fingerprints(None)).load("model", file, full=True)
    full, shallow = _evaluations(model, options.rounds)
    yield figure("shallow evaluation, SD 1.5; full", shallow, full)
    for interval in INTERVALS:
        count = math.ceil(STEPS / interval)
        cached = [
            count * whole + (STEPS - count) * part
            for whole, part in zip(full, shallow, strict=True)
        ]
        everything = [STEPS * whole for whole in full]
        yield figure(f"{STEPS} evaluations, interval {interval}; all full", cached, everything)
    tiny = load_model(PATH, name="tiny")
    changes = {f"interval {n}": replace(RECIPE, cache_interval=n) for n in INTERVALS}
    changes |= {f"guidance to {GUIDANCE_END}": replace(RECIPE, guidance_end=GUIDANCE_END)}
    for name, recipe in changes.items():
        distances = [_distance(tiny, replace(recipe, prompt=prompt)) for prompt in PROMPTS]
        yield figure(f"PSNR to the full picture, tiny, {name}", distances, unit="dB")


def _evaluations(model: Model, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds of evaluations of one latent, full and shallow."""
    random = torch.Generator().manual_seed(1)
    x = torch.randn(1, *model.family.latents.shape(512, 512), generator=random)
    text = Conditioning(torch.randn(1, 77, model.family.context_width, generator=random))
    timestep, cache = torch.tensor([500.0]), DeepCache(rounds + 1)
    model.predict(x, timestep, text, cache=cache)
    full, shallow = in_turns(
        lambda: model.predict(x, timestep, text),
        lambda: model.predict(x, timestep, text, cache=cache),
        rounds=rounds,
    )
    return full, shallow


def _distance(model: Model, recipe: Recipe) -> float:
    """PSNR in dB of a picture to the one with all evaluations."""
    whole = replace(recipe, cache_interval=1, guidance_end=1.0)
    pictures = (next(generate(model, one)).image for one in (recipe, whole))
    one, other = (numpy.asarray(picture).astype(float) for picture in pictures)
    return 10 * math.log10(255**2 / max(((one - other) ** 2).mean(), 1e-9))
