"""A quick evaluation during training: the colours in a few pictures."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from stable_diffusion.families.family import Family
from stable_diffusion.generate import generate
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.recipe import Recipe
from training import pixel_checks
from training.scenes import COLOURS, ICONS

PROMPTS = 6
STEPS = 10


def quick_eval(
    networks: Networks, family: Family, width: int, height: int, seed: int, **options: Any
) -> float:
    """Share, 0..1, of pictures whose object and background have the colours of the prompt.

    A random picture is right with probability 0.01. Restores the networks' training modes.

    Args:
        options: further fields of the recipe.
    """
    device = next(networks.unet.parameters()).device
    tokenizer = ClipTokenizer(pad=family.pad_token)
    model = Model("in training", family, family.prediction, "", networks, tokenizer, device)
    rng = random.Random(seed)
    right = 0
    with _eval_mode(networks.text, networks.unet, networks.vae):
        for number in range(PROMPTS):
            colour, background = rng.sample(list(COLOURS), 2)
            prompt = f"a {colour} {ICONS[number % 3]} on a {background} background"
            size = {"width": width, "height": height}
            recipe = Recipe(prompt=prompt, seed=number, **{"steps": STEPS, **size, **options})
            (picture,) = generate(model, recipe)
            right += pixel_checks.background_right(picture.image, background) and (
                pixel_checks.main_colour(picture.image, background) == colour
            )
    return right / PROMPTS


@contextmanager
def _eval_mode(*modules: nn.Module) -> Iterator[None]:
    """Put modules into evaluation mode, and keep the state of torch's random generators."""
    modes = [module.training for module in modules]
    with torch.random.fork_rng():
        for module in modules:
            module.eval()
        yield
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)
