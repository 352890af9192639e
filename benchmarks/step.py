"""Sampling with a full-size SD 1.5, 512 x 512, compared with diffusers as in its documentation.

Both load the same random weights and run two DDIM steps with guidance, text encoding included.
"""

from collections.abc import Iterator
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
    model = Loader("cpu", Fingerprints(None)).load("model", file)
    peer = load_with_diffusers(file, configurations(options.folder / "configuration"))
    arms = {precision: replace(RECIPE, precision=precision) for precision in ("autocast", "full")}
    taken: dict[str, list[float]] = {name: [] for name in arms}

    def diffusers() -> None:
        generate_with_diffusers(peer, RECIPE, "latent")

    def ours() -> None:
        for name, recipe in arms.items():
            taken[name].append(_sample(model, recipe))

    diffusers_seconds, _ = in_turns(diffusers, ours, rounds=options.rounds)
    steps = [seconds / STEPS for seconds in diffusers_seconds]
    for name in arms:
        mine = [seconds / STEPS for seconds in taken[name]]
        yield figure(f"guided step, SD 1.5, {name}; diffusers eager", mine, steps)
    yield figure("relative error of an evaluation, autocast", [_error(model)], unit="")


def _sample(model: Model, recipe: Recipe) -> float:
    """Seconds of prompt encoding and sampling."""
    stopwatch = Stopwatch()
    next(generate(model, recipe, stopwatch=stopwatch))
    return stopwatch.seconds["encode"] + stopwatch.seconds["sample"]


def _error(model: Model) -> float:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(1, *model.family.latents.shape(*RECIPE.size), generator=random)
    text = Conditioning(torch.randn(1, 77, model.family.context_width, generator=random))
    full, half = (
        model.predict(x, torch.tensor([500.0]), text, precision=precision)
        for precision in ("full", "autocast")
    )
    return float((half - full).norm() / full.norm())
