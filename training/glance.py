"""A look at what a model in training draws by now: a few prompts, judged by their colours."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from stable_diffusion.families.family import Family
from stable_diffusion.generate import generate
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.recipe import Recipe
from training import judge
from training.scenes import COLOURS, ICONS

PROMPTS = 6
STEPS = 10


def glance(networks: Networks, family: Family, width: int, height: int, seed: int) -> float:
    """Share, 0..1, of a few pictures in which object and background have the colours asked for.

    Chance is about 0.01. The networks' modes are put back as they were.
    """
    device = next(networks.unet.parameters()).device
    tokenizer = ClipTokenizer(pad=family.pad_token)
    model = Model("student", family, family.prediction, "", networks, tokenizer, device)
    rng = random.Random(seed)
    right = 0
    with _resting(networks.text, networks.unet, networks.vae):
        for number in range(PROMPTS):
            colour, background = rng.sample(list(COLOURS), 2)
            prompt = f"a {colour} {ICONS[number % 3]} on a {background} background"
            recipe = Recipe(prompt=prompt, seed=number, width=width, height=height, steps=STEPS)
            (picture,) = generate(model, recipe)
            right += judge.background_right(picture.image, background) and (
                judge.main_colour(picture.image, background) == colour
            )
    return right / PROMPTS


@contextmanager
def _resting(*modules: nn.Module) -> Iterator[None]:
    """Modules in evaluation mode, and torch's random numbers undisturbed."""
    modes = [module.training for module in modules]
    with torch.random.fork_rng():
        for module in modules:
            module.eval()
        yield
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)
