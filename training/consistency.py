"""Distils a trained model to a few steps without guidance: the result is a LoRA for it.

A consistency function f(x, t) takes every point of a path of the probability flow ODE to the end of
the path (Song et al. 2023, arXiv:2303.01469). Latent consistency models (Luo et al. 2023,
arXiv:2310.04378) learn it for paths under guidance of a fixed scale, and LCM-LoRA
(arXiv:2311.05556) as a LoRA. As there: the parametrisation by c_skip and c_out, the grid of
timesteps, the Huber loss, and the average of the weights is what is kept. The target differs: the
teacher is so small that its whole paths are computed once (`training/trajectories.py`), so the
target is the end of the path itself (Luhman and Luhman 2021, arXiv:2101.02388), not the average's
own answer at the next point, which is wrong at the start and takes many steps to become right.
"""

import copy
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.networks import unet_prediction
from stable_diffusion.samplers.schedule import NoiseSchedule
from training.denoiser import EVAL_INTERVAL, Size
from training.low_rank import LowRankChanges
from training.progress import SAVE_INTERVAL, Budget, IntervalTimer, save_state
from training.trajectories import SOLVER_STEPS, Trajectories, solver_timesteps

STEPS = 4
"""Steps of the sampler that the student is made for."""
VISITED_SHARE = 0.8
"""Share of training examples at the timesteps of those steps; the others are between them."""
RANK = 32
EMA_DECAY = 0.99
SIGMA_DATA = 0.5
TIMESTEP_SCALING = 10.0
HUBER = 0.001
LEVEL_WEIGHT = 0.25
"""Exponent of ᾱ in the weight of the loss. Errors of ε count σ-fold in x₀, so that without a weight
the highest noise level takes nearly all of the gradient, and details stay soft."""


@dataclass(frozen=True)
class PathShare:
    """Paths of one picture size.

    Attributes:
        share: of the steps, 0..1.
        batch: points of paths in a step.
        count: how many paths there are.
        seed: of their captions and noises.
    """

    share: float
    batch: int
    count: int
    seed: int


@dataclass(frozen=True)
class Distillation:
    """The plan: the highest learning rate, and the paths by picture size."""

    rate: float
    sizes: Mapping[Size, PathShare]


def consistency(x: Tensor, t: Tensor, epsilon: Tensor, alphas: Tensor) -> Tensor:
    """f(x, t) of a network that predicts the noise: c_skip·x + c_out·x₀.

    Args:
        x, epsilon: (n, 4, h, w).
        t: (n,) timesteps.
        alphas: (1000,), ᾱ.
    """
    scaled = (TIMESTEP_SCALING * t).view(-1, 1, 1, 1)
    skip = SIGMA_DATA**2 / (scaled**2 + SIGMA_DATA**2)
    out = scaled / (scaled**2 + SIGMA_DATA**2).sqrt()
    alpha = alphas[t].view(-1, 1, 1, 1)
    predicted = (x - (1 - alpha).sqrt() * epsilon) / alpha.sqrt()
    return skip * x + out * predicted


@dataclass
class ConsistencyTrainer:
    """The LoRA in training, its optimizer, and the moving average of its weights.

    Attributes:
        unet: of the teacher; is changed in place.
    """

    unet: UNet2DConditionModel
    device: torch.device

    def __post_init__(self) -> None:
        self.changes = LowRankChanges(self.unet, RANK)
        self.average = copy.deepcopy(self.changes.state_dict())
        schedule = NoiseSchedule()
        self.alphas = schedule.alphas_cumprod.to(self.device, torch.float32)
        self.timesteps = torch.tensor(solver_timesteps(schedule), device=self.device)
        self.optimizer = torch.optim.AdamW(
            self.changes.parameters(), betas=(0.9, 0.99), weight_decay=0.0
        )

    def step(self, paths: Trajectories, count: int, rate: float, rng: random.Random) -> float:
        """Train on `count` points of random paths; returns the loss."""
        rows = [rng.randrange(len(paths.latents)) for _ in range(count)]
        visited = range(0, SOLVER_STEPS, SOLVER_STEPS // STEPS)
        points = [
            rng.choice(visited) if rng.random() < VISITED_SHARE else rng.randrange(SOLVER_STEPS)
            for _ in rows
        ]
        latents = paths.latents[rows].to(self.device).float()
        x = latents[range(count), points].contiguous(memory_format=torch.channels_last)
        context = paths.context[rows].to(self.device).float()
        t = self.timesteps[points]
        self.changes.apply_to_network()
        epsilon = unet_prediction(self.unet, x, t, Conditioning(context))
        error = consistency(x, t, epsilon, self.alphas) - latents[:, -1]
        distance = (error.square() + HUBER**2).sqrt() - HUBER
        loss = (distance * self.alphas[t].view(-1, 1, 1, 1) ** LEVEL_WEIGHT).mean()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        self.changes.backward()
        torch.nn.utils.clip_grad_norm_(self.changes.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        for name, value in self.changes.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Have the UNet and the LoRA the averaged weights meanwhile."""
        present = copy.deepcopy(self.changes.state_dict())
        self.changes.load_state_dict(self.average)
        self.changes.apply_to_network()
        yield
        self.changes.load_state_dict(present)

    def state_dict(self) -> dict[str, Any]:
        return {
            "changes": self.changes.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.changes.load_state_dict(state["changes"])
        self.average = dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


def distil(
    trainer: ConsistencyTrainer,
    plan: Distillation,
    paths: Mapping[Size, Trajectories],
    budget: Budget,
    save: Path,
    evaluate: Callable[[int, int, int], float],
    seed: int,
) -> None:
    """Train until the budget is spent; saves and evaluates as `denoiser.train_stage` does."""
    rng = random.Random(seed)
    shares = [each.share for each in plan.sizes.values()]
    main = max(plan.sizes, key=lambda size: plan.sizes[size].share)
    save_timer = IntervalTimer(budget, SAVE_INTERVAL)
    eval_timer = IntervalTimer(budget, EVAL_INTERVAL)

    def finish(step: int) -> None:
        save_state(save, student=trainer.state_dict(), spent=budget.spent)
        with trainer.averaged():
            budget.log(f"colours right {evaluate(*main, step):.2f}")

    for step in budget.steps():
        size = rng.choices(list(plan.sizes), shares)[0]
        rate = budget.learning_rate(plan.rate)
        loss = trainer.step(paths[size], plan.sizes[size].batch, rate, rng)
        trainer.update_average(step)
        budget.record(**{f"loss{size[1]}": loss})
        if save_timer.due():
            save_state(save, student=trainer.state_dict(), spent=budget.spent)
        if eval_timer.due():
            finish(step)
    finish(0)
