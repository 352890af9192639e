"""Phases 3 to 5: the UNet learns to denoise the latents of captioned scenes."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from stable_diffusion.families.family import Family
from stable_diffusion.networks import moved
from training.captions import caption
from training.latents import EncodedScenes
from training.progress import SAVED_EVERY, Budget, Reminder, keep
from training.student import Student
from training.tokens import CaptionTokens

Size = tuple[int, int]  # width, height in pixels
_LOOKED_EVERY = 180.0
"""Seconds of work between two looks, each of which costs some."""


def build_unet(family: Family) -> UNet2DConditionModel:
    """A fresh UNet of this family, in channels-last memory."""
    return moved(UNet2DConditionModel(**family.part("unet").config), channels_last=True)


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

    Every minute `save` receives the student and the time spent. Every third, and at the end, a line
    is printed with what `look` makes of pictures of the lesson's main size: (width, height, seed)
    → share right.
    """
    rng = random.Random(seed)
    sizes: Sequence[Size] = list(lesson.sizes)
    shares = [lesson.sizes[size][0] for size in sizes]
    student.unet.train()
    student.text.train()
    main = max(sizes, key=lambda size: lesson.sizes[size][0])
    saving, looking = Reminder(budget, SAVED_EVERY), Reminder(budget, _LOOKED_EVERY)
    for step in budget.steps():
        student.set_rate(budget.learning_rate(lesson.learning_rate))
        size = rng.choices(sizes, shares)[0]
        simple_share = lesson.simple_share * (1 - budget.fraction)
        chosen, latents = scenes[size].pick(lesson.sizes[size][1], simple_share, rng)
        batch = tokens.batch([caption(scene, rng) for scene in chosen], rng)
        loss = student.step(latents.contiguous(memory_format=torch.channels_last), batch)
        student.update_average(step)
        budget.note(**{f"loss{size[1]}": loss})
        if saving.due():
            keep(save, student=student.state_dict(), spent=budget.spent)
        if looking.due():
            budget.tell(f"colours right {look(*main, step):.2f}")
    keep(save, student=student.state_dict(), spent=budget.spent)
    budget.tell(f"colours right {look(*main, 0):.2f}")
