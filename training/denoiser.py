"""Phases 3 to 5: the UNet is trained to denoise the latents of captioned scenes."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from stable_diffusion.families.family import Family
from stable_diffusion.networks import moved
from training.denoiser_trainer import DenoiserTrainer
from training.latents import EncodedScenes
from training.progress import SAVE_INTERVAL, Budget, IntervalTimer, save_state
from training.tokens import CaptionTokens

Size = tuple[int, int]  # width, height in pixels
EVAL_INTERVAL = 180.0
"""Seconds of computing between two evaluations."""


def build_unet(family: Family) -> UNet2DConditionModel:
    """A new UNet of this family, in channels-last memory."""
    return moved(UNet2DConditionModel(**family.part("unet").config), channels_last=True)


@dataclass(frozen=True)
class Stage:
    """One stage of the UNet's training.

    Attributes:
        share: share of the time of the whole training, 0..1.
        sizes: picture size → share of the steps, and batch size.
        simple_share: share of simple scenes at the start, falling to 0 at the end: a shape that the
            model knows at one size is learned faster at others.
    """

    name: str
    share: float
    learning_rate: float
    sizes: Mapping[Size, tuple[float, int]]
    simple_share: float = 0.0


def train_stage(
    trainer: DenoiserTrainer,
    stage: Stage,
    budget: Budget,
    scenes: Mapping[Size, EncodedScenes],
    tokens: CaptionTokens,
    save: Path,
    evaluate: Callable[[int, int, int], float],
    seed: int,
) -> None:
    """Run one stage.

    Writes the trainer's state and the spent seconds to `save` every minute. Every three minutes,
    and at the end, prints what `evaluate` returns for the stage's main size: (width, height, seed)
    → share of right pictures.
    """
    rng = random.Random(seed)
    sizes: Sequence[Size] = list(stage.sizes)
    shares = [stage.sizes[size][0] for size in sizes]
    trainer.unet.train()
    trainer.text.train()
    main = max(sizes, key=lambda size: stage.sizes[size][0])
    save_timer, eval_timer = (
        IntervalTimer(budget, SAVE_INTERVAL),
        IntervalTimer(budget, EVAL_INTERVAL),
    )
    for step in budget.steps():
        trainer.set_rate(budget.learning_rate(stage.learning_rate))
        size = rng.choices(sizes, shares)[0]
        simple_share = stage.simple_share * (1 - budget.fraction)
        examples = scenes[size].pick(stage.sizes[size][1], simple_share, rng)
        batch = tokens.batch(examples.captions, rng)
        loss = trainer.step(
            examples.latents.contiguous(memory_format=torch.channels_last), batch, examples.inputs
        )
        trainer.update_average(step)
        budget.record(**{f"loss{size[1]}": loss})
        if save_timer.due():
            save_state(save, student=trainer.state_dict(), spent=budget.spent)
        if eval_timer.due():
            budget.log(f"colours right {evaluate(*main, step):.2f}")
    save_state(save, student=trainer.state_dict(), spent=budget.spent)
    budget.log(f"colours right {evaluate(*main, 0):.2f}")
