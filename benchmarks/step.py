"""Sampling with a full-size SD 1.5, 512 x 512, beside diffusers as its documentation has it run.

Both from the same file of random weights, a DDIM of two steps with guidance, text included.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch

from benchmarks.checkpoints import (
    configurations,
    draw_with_diffusers,
    opened_by_diffusers,
    random_checkpoint,
)
from benchmarks.harness import Figure, Workshop, figure, in_turns
from stable_diffusion.conditioning import Conditioning
from stable_diffusion.generate import generate
from stable_diffusion.loader import Loader
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from stable_diffusion.stopwatch import Stopwatch
from stable_diffusion.weights.fingerprint import Fingerprints

STEPS = 2
RECIPE = Recipe(prompt="a red dragon on a beach", steps=STEPS, width=512, height=512)
"""Steps enough to time one, since every step is the same work."""


def measure(workshop: Workshop) -> Iterator[Figure]:
    """A guided step in each precision, and how far the half precision is from the full."""
    file = random_checkpoint(workshop.folder / "model.safetensors", 1)
    model = Loader("cpu", Fingerprints(None)).load("model", file)
    peer = opened_by_diffusers(file, configurations(workshop.folder / "configuration"))
    arms = {precision: replace(RECIPE, precision=precision) for precision in ("autocast", "full")}
    taken: dict[str, list[float]] = {name: [] for name in arms}

    def theirs() -> None:
        draw_with_diffusers(peer, RECIPE, "latent")

    def ours() -> None:
        for name, recipe in arms.items():
            taken[name].append(_sampled(model, recipe))

    theirs_taken, _ = in_turns(theirs, ours, rounds=workshop.rounds)
    steps = [seconds / STEPS for seconds in theirs_taken]
    for name in arms:
        mine = [seconds / STEPS for seconds in taken[name]]
        yield figure(f"guided step, SD 1.5, {name}; diffusers eager", mine, steps)
    yield figure("relative error of an evaluation, autocast", [_error(model)], unit="")


def _sampled(model: Model, recipe: Recipe) -> float:
    """The seconds of the prompt's encoding and the sampling."""
    watch = Stopwatch()
    next(generate(model, recipe, stopwatch=watch))
    return watch.seconds["encode"] + watch.seconds["sample"]


def _error(model: Model) -> float:
    random = torch.Generator().manual_seed(1)
    x = torch.randn(1, 4, *RECIPE.latent_shape, generator=random)
    text = Conditioning(torch.randn(1, 77, model.variant.context_width, generator=random))
    full, half = (
        model.predict(x, torch.tensor([500.0]), text, precision=precision)
        for precision in ("full", "autocast")
    )
    return float((half - full).norm() / full.norm())
