"""Phases 3 to 5: the UNet learns to predict the noise in the latents of captioned scenes.

Loss: the MSE of v (Salimans and Ho 2022, appendix D), which for a network that predicts the noise
is the MSE of the noise over ᾱ. Plain MSE of the noise counts the high noise levels, where a
picture's content is decided, for next to nothing.
"""

import copy
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from stable_diffusion.networks import placed, text_states, unet_prediction
from stable_diffusion.prompt.conditioning import apply_weights
from stable_diffusion.samplers.schedule import NoiseSchedule
from stable_diffusion.variants import Prediction, Variant
from training.captions import caption
from training.latents import EncodedScenes
from training.progress import Budget, keep
from training.text_encoder import known_words_mask, silence_unknown_words
from training.tokens import CaptionTokens, TokenBatch

TEXT_RATE = 0.3  # of the UNet's learning rate
# Large areas show through white noise even at the last timestep; a sampler starts from nothing but
# noise, and the network would see things in it. Noise at the scale of the whole picture and of its
# quarters hides them: what is there is then learned from the words.
NOISE_OFFSET = 0.1
COARSE_NOISE = 0.08
COARSE_CELLS = 4
# What a thing is is decided where next to nothing can be seen of it: below, the network reads the
# shape off the noisy latents and has no need of the words.
NOISY_FROM = 600
NOISY_SHARE = 0.65
# And which of two things has which colour, at still more noise: the noisier, the likelier.
NOISY_SKEW = 1.5
# What can be seen needs no words: there the words of another picture teach the network to believe
# its eyes, or a weak img2img would repaint all of its source.
VISIBLE_UNTIL = 300
OTHERS_WORDS = 0.6
# Of two blended prompts the heavier wins: how many captions are blended, and the heavier one's
# share.
BLENDED = 0.12
HEAVIER = (0.65, 0.95)
EMA_DECAY = 0.998
Size = tuple[int, int]  # width, height in pixels


def build_unet(variant: Variant) -> UNet2DConditionModel:
    """A fresh UNet of this variant, in channels-last memory."""
    return placed(UNet2DConditionModel(**variant.unet), channels_last=True)


def own_share(t: Tensor) -> Tensor:
    """How much of what a picture's network hears is its own caption; the rest is another's.

    Args:
        t: (n,) timesteps.

    Returns:
        (n,) float32, 0 to 1.
    """
    low, high = HEAVIER
    heavier = low + (high - low) * torch.rand(t.shape, device=t.device)
    chance = torch.rand(t.shape, device=t.device)
    visible = t < VISIBLE_UNTIL
    own = torch.where(~visible & (chance < BLENDED), heavier, 1.0)
    return torch.where(visible & (chance < OTHERS_WORDS), 0.0, own)


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


@dataclass
class Student:
    """The networks in training, their optimizer, and the running average that is shipped."""

    unet: UNet2DConditionModel
    text: CLIPTextModel
    known_words: Collection[int]
    prediction: Prediction
    device: torch.device

    def __post_init__(self) -> None:
        self.average_unet, self.average_text = copy.deepcopy((self.unet, self.text))
        self._averaged = ((self.average_unet, self.unet), (self.average_text, self.text))
        for average, _ in self._averaged:
            average.requires_grad_(False).eval()
        self.schedule = NoiseSchedule()
        self.alphas = self.schedule.alphas_cumprod.to(self.device, torch.float32)
        self._known = known_words_mask(self.text, self.known_words)
        # On a CPU each core learns from its own share of the batch: layers this small leave two
        # threads of one operation waiting for each other half of the time.
        cores = torch.get_num_threads() if self.device.type == "cpu" else 1
        self.crew = [(self.unet, self.text)] + [self._apprentice() for _ in range(cores - 1)]
        single = partial(torch.set_num_threads, 1) if cores > 1 else None
        self.pool = ThreadPoolExecutor(cores, initializer=single)
        self.optimizer = torch.optim.AdamW(
            [{"params": self.unet.parameters()}, {"params": self.text.parameters()}],
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
        )

    def set_rate(self, rate: float) -> None:
        for group, share in zip(self.optimizer.param_groups, (1.0, TEXT_RATE), strict=True):
            group["lr"] = rate * share

    def _loss(
        self,
        unet: UNet2DConditionModel,
        text: CLIPTextModel,
        latents: Tensor,
        ids: Tensor,
        weights: Tensor,
    ) -> Tensor:
        """Weighted MSE of one batch: latents (n, 4, h, w), ids and weights (n, 77)."""
        count = len(latents)
        anywhere = torch.randint(0, 1000, (count,), device=self.device)
        depth = torch.rand(count, device=self.device) ** NOISY_SKEW
        noisy = (999 - (999 - NOISY_FROM) * depth).round().long()
        t = torch.where(torch.rand(count, device=self.device) < NOISY_SHARE, noisy, anywhere)
        alpha = self.alphas[t].view(-1, 1, 1, 1)
        noise = torch.randn_like(latents)
        noise = noise + NOISE_OFFSET * torch.randn(count, 4, 1, 1, device=self.device)
        cells = torch.randn(count, 4, COARSE_CELLS, COARSE_CELLS, device=self.device)
        noise = noise + COARSE_NOISE * F.interpolate(cells, latents.shape[2:], mode="bilinear")
        noised = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        # bfloat16 pays on a GPU only: its convolutions' backward is slower on a CPU
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            hidden = apply_weights(text_states(text, ids), weights)
            own = own_share(t).view(-1, 1, 1)
            hidden = own * hidden + (1 - own) * hidden.roll(1, 0)
            output = unet_prediction(unet, noised, t, hidden).float()
        if self.prediction == "v":
            target = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
            return (output - target).square().mean()
        return ((output - noise).square() / alpha).mean()

    def step(self, latents: Tensor, batch: TokenBatch) -> float:
        """Learn from one batch; returns its loss."""
        self.optimizer.zero_grad()
        size = max(1, -(-len(latents) // len(self.crew)))
        shares = zip(
            self.crew, latents.split(size), batch.ids.split(size), batch.weights.split(size),
            strict=False,
        )  # fmt: skip

        def learn(share: tuple[tuple[Any, Any], Tensor, Tensor, Tensor]) -> float:
            (unet, text), *tensors = share
            part = len(tensors[0]) / len(latents)
            placed = (tensor.to(self.device) for tensor in tensors)
            loss = self._loss(unet, text, *placed) * part
            loss.backward()
            return loss.item()

        total = sum(self.pool.map(learn, shares))
        for members in zip(*(self._parameters(*pair) for pair in self.crew), strict=True):
            chief, *others = members
            for other in others:
                if other.grad is not None and chief.grad is not None:
                    chief.grad += other.grad
                    other.grad = None
        silence_unknown_words(self.text, self._known)
        torch.nn.utils.clip_grad_norm_(self._parameters(self.unet, self.text), 1.0)
        self.optimizer.step()
        return total

    @staticmethod
    def _parameters(unet: nn.Module, text: nn.Module) -> list[nn.Parameter]:
        return [*unet.parameters(), *text.parameters()]

    def _apprentice(self) -> tuple[UNet2DConditionModel, CLIPTextModel]:
        """A second pair of networks over the same weights, with gradients of its own."""
        pair = copy.deepcopy((self.unet, self.text))
        masters = self._parameters(self.unet, self.text)
        for copied, master in zip(self._parameters(*pair), masters, strict=True):
            copied.data = master.data
        return pair

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        for slow, quick in self._averaged:
            for average, parameter in zip(slow.parameters(), quick.parameters(), strict=True):
                average.lerp_(parameter, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        return {
            "unet": self.unet.state_dict(),
            "text": self.text.state_dict(),
            "average_unet": self.average_unet.state_dict(),
            "average_text": self.average_text.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.unet.load_state_dict(state["unet"])
        self.text.load_state_dict(state["text"])
        self.average_unet.load_state_dict(state["average_unet"])
        self.average_text.load_state_dict(state["average_text"])
        self.optimizer.load_state_dict(state["optimizer"])


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
