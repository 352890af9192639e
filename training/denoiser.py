"""Phases 3 to 5: the UNet learns to denoise the latents of captioned scenes."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from stable_diffusion.networks import placed
from stable_diffusion.variants import Variant
from training.captions import caption
from training.latents import EncodedScenes
from training.progress import Budget, keep
from training.student import Student
from training.tokens import CaptionTokens

Size = tuple[int, int]  # width, height in pixels


def build_unet(variant: Variant) -> UNet2DConditionModel:
    """A fresh UNet of this variant, in channels-last memory."""
    return placed(UNet2DConditionModel(**variant.unet), channels_last=True)


@dataclass(frozen=True)
class Lesson:
    """One phase of the UNet's training.

    Attributes:
        share: of the whole training's time.
        sizes: for each picture size, the share of steps and the batch size.
        simple_share: share of simple scenes at the start, falling to none at the end: a shape
            learned at one size is soon learned at others.
    """

    name: str
    share: float
    learning_rate: float
    sizes: Mapping[Size, tuple[float, int]]
    simple_share: float = 0.0


def teach(
    student: Student,
    lesson: Lesson,
    budget: Budget,
    scenes: Mapping[Size, EncodedScenes],
    tokens: CaptionTokens,
    save: Path,
    look: Callable[[int, int, int], float],
    seed: int,
) -> None:
    """Run one lesson.

    Every three minutes `save` receives the student and the time spent, and a line is printed with
    what `look` makes of pictures of the lesson's main size: (width, height, seed) → share right.
    """
    rng = random.Random(seed)
    sizes: Sequence[Size] = list(lesson.sizes)
    shares = [lesson.sizes[size][0] for size in sizes]
    student.unet.train()
    student.text.train()
    saved = budget.spent
    for step in budget.steps():
        student.set_rate(budget.learning_rate(lesson.learning_rate))
        size = rng.choices(sizes, shares)[0]
        simple_share = lesson.simple_share * (1 - budget.fraction)
        chosen, latents = scenes[size].pick(lesson.sizes[size][1], simple_share, rng)
        batch = tokens.batch([caption(scene, rng) for scene in chosen], rng)
        loss = student.step(latents.contiguous(memory_format=torch.channels_last), batch)
        student.update_average(step)
        budget.note(**{f"loss{size[1]}": loss})
        if budget.spent - saved > 180:
            saved = budget.spent
            keep(save, student=student.state_dict(), spent=budget.spent)
            main = max(sizes, key=lambda size: lesson.sizes[size][0])
            budget.tell(f"colours right {look(*main, step):.2f}")
    keep(save, student=student.state_dict(), spent=budget.spent)
