"""Sampling with a full-size SD 1.5, 512 x 512, compared with diffusers as in its documentation.

Both load the same random weights and run two DDIM steps with guidance, text encoding included.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch

from benchmarks.checkpoints import (
    configurations,
    generate_with_diffusers,
    load_with_diffusers,
    random_checkpoint,
)
from benchmarks.harness import BenchmarkOptions, Figure, figure, in_turns
from stable_diffusion.conditioning import Conditioning
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.stopwatch import Stopwatch
from stable_diffusion.weights.fingerprint import Fingerprints

STEPS = 2
RECIPE = Recipe(prompt="a red dragon on a beach", steps=STEPS, width=512, height=512)
"""Two steps are enough, since every step is the same work."""


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """The time of a guided step in each precision, and the error of half precision."""
    file = random_checkpoint(options.folder / "model.safetensors", 1)
    loader = Loader("cpu", Fingerprints(None))
    models = {
        precision: loader.load("model", file, full=precision == "full")
        for precision in ("autocast", "full")
    }
    peer = load_with_diffusers(file, configurations(options.folder / "configuration"))
    taken: dict[str, list[float]] = {precision: [] for precision in models}

    def diffusers() -> None:
        generate_with_diffusers(peer, RECIPE, "latent")

    def ours() -> None:
        for precision, model in models.items():
            taken[precision].append(_sample(model, replace(RECIPE, precision=precision)))

    diffusers_seconds, _ = in_turns(diffusers, ours, rounds=options.rounds)
    steps = [seconds / STEPS for seconds in diffusers_seconds]
    for precision in models:
        mine = [seconds / STEPS for seconds in taken[precision]]
        yield figure(f"guided step, SD 1.5, {precision}; diffusers eager", mine, steps)
    yield figure("relative error of an evaluation, autocast", [_error(models)], unit="")


def _sample(model: Model, recipe: Recipe) -> float:
    """Seconds of prompt encoding and sampling."""
    stopwatch = Stopwatch()
    next(generate(model, recipe, stopwatch=stopwatch))
    return stopwatch.seconds["encode"] + stopwatch.seconds["sample"]


def _error(models: Mapping[str, Model]) -> float:
    random = torch.Generator().manual_seed(1)
    family = models["full"].family
    x = torch.randn(1, *family.latents.shape(*RECIPE.size), generator=random)
    text = Conditioning(torch.randn(1, 77, family.context_width, generator=random))
    half, full = (
        model.predict(x, torch.tensor([500.0]), text, precision=precision)
        for precision, model in models.items()
    )
    return float((half - full).norm() / full.norm())
