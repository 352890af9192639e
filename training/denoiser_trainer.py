"""One training step of UNet and text encoder: loss, optimizer, moving average.

Loss: the MSE of v (Salimans and Ho 2022, appendix D), which for a network that predicts the noise
is the MSE of the noise over ᾱ. Plain MSE of the noise gives almost no weight to the high noise
levels, which decide the content of a picture.
"""

import copy
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from stable_diffusion.families.family import Prediction
from stable_diffusion.networks import unet_prediction
from stable_diffusion.samplers.schedule import NoiseSchedule
from training.noising import own_caption_share, sample_noise, sample_timesteps
from training.teacher import Teacher
from training.text_encoder import freeze_unknown_words, known_words_mask
from training.tokens import TokenBatch
from training.two_encoders import mixed_conditioning

TEXT_RATE = 0.3  # of the UNet's learning rate
NEW_RATE = 15.0  # likewise, for the layer that the UNet of its base does not have
_NEW = "add_embedding."
EMA_DECAY = 0.998


@dataclass
class DenoiserTrainer:
    """The networks in training, their optimizer, and the moving average of their weights.

    Attributes:
        known_words: token ids with trainable embeddings; the others stay zero.
        text: a text encoder, or both of a model that has two.
        teacher: gives the target, instead of the pictures (distillation).
    """

    unet: UNet2DConditionModel
    text: nn.Module
    known_words: Collection[int]
    prediction: Prediction
    device: torch.device
    teacher: Teacher | None = None

    def __post_init__(self) -> None:
        self.average_unet, self.average_text = copy.deepcopy((self.unet, self.text))
        self._averaged = ((self.average_unet, self.unet), (self.average_text, self.text))
        for average, _ in self._averaged:
            average.requires_grad_(False).eval()
        self.schedule = NoiseSchedule()
        self.alphas = self.schedule.alphas_cumprod.to(self.device, torch.float32)
        self._known = known_words_mask(self.text, self.known_words)
        # On a CPU each core has a replica and a share of the batch: with layers this small, two
        # threads of one operation would wait for each other half of the time.
        cores = torch.get_num_threads() if self.device.type == "cpu" else 1
        self.replicas = [(self.unet, self.text)] + [self._replica() for _ in range(cores - 1)]
        single = partial(torch.set_num_threads, 1) if cores > 1 else None
        self.pool = ThreadPoolExecutor(cores, initializer=single)
        new = [p for name, p in self.unet.named_parameters() if name.startswith(_NEW)]
        known = [p for name, p in self.unet.named_parameters() if not name.startswith(_NEW)]
        self.optimizer = torch.optim.AdamW(
            [{"params": known}, {"params": self.text.parameters()}, {"params": new}],
            betas=(0.9, 0.99),
            weight_decay=0.01,
            fused=True,
        )

    def set_rate(self, rate: float) -> None:
        for group, share in zip(
            self.optimizer.param_groups, (1.0, TEXT_RATE, NEW_RATE), strict=True
        ):
            group["lr"] = rate * share

    def _loss(
        self,
        unet: UNet2DConditionModel,
        text: nn.Module,
        latents: Tensor,
        ids: Tensor,
        weights: Tensor,
        inputs: Tensor,
    ) -> Tensor:
        """Weighted MSE of one batch: latents (n, 4, h, w), ids and weights (n, 77)."""
        t = sample_timesteps(len(latents), self.device)
        alpha = self.alphas[t].view(-1, 1, 1, 1)
        noise = sample_noise(latents)
        noised = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        own = own_caption_share(t).view(-1, 1, 1)
        # bfloat16 is faster on a GPU only; on a CPU the backward pass of its convolutions is slower
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            conditioning = mixed_conditioning(text, latents, ids, weights, own)
            conditioning = replace(conditioning, concat=inputs)
            output = unet_prediction(unet, noised, t, conditioning).float()
        if self.teacher is None:
            target = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
        else:
            target = self.teacher.velocity(noised, t, alpha, ids, weights, own)
        if self.prediction == "epsilon":
            output = (output - (1 - alpha).sqrt() * noised) / alpha.sqrt()
        return (output - target).square().mean()

    def step(self, latents: Tensor, batch: TokenBatch, inputs: Tensor | None = None) -> float:
        """Train on one batch; returns its loss.

        Args:
            latents: (n, 4, h, w).
            batch: n captions.
            inputs: (n, c, h, w), the channels that the UNet takes besides the noisy latents.
        """
        if inputs is None:
            inputs = latents[:, :0]
        self.optimizer.zero_grad()
        size = max(1, -(-len(latents) // len(self.replicas)))
        shares = zip(
            self.replicas, latents.split(size), batch.ids.split(size), batch.weights.split(size),
            inputs.split(size), strict=False,
        )  # fmt: skip

        def learn(share: tuple[tuple[Any, Any], Tensor, Tensor, Tensor, Tensor]) -> float:
            (unet, text), *tensors = share
            part = len(tensors[0]) / len(latents)
            placed = (tensor.to(self.device) for tensor in tensors)
            loss = self._loss(unet, text, *placed) * part
            loss.backward()
            return loss.item()

        total = sum(self.pool.map(learn, shares))
        for members in zip(*(self._parameters(*pair) for pair in self.replicas), strict=True):
            primary, *others = members
            for other in others:
                if other.grad is not None and primary.grad is not None:
                    primary.grad += other.grad
                    other.grad = None
        freeze_unknown_words(self.text, self._known)
        torch.nn.utils.clip_grad_norm_(self._parameters(self.unet, self.text), 1.0)
        self.optimizer.step()
        return total

    @staticmethod
    def _parameters(unet: nn.Module, text: nn.Module) -> list[nn.Parameter]:
        return [*unet.parameters(), *text.parameters()]

    def _replica(self) -> tuple[UNet2DConditionModel, nn.Module]:
        """A pair of networks that share the weights, with separate gradients."""
        pair = copy.deepcopy((self.unet, self.text))
        originals = self._parameters(self.unet, self.text)
        for copy_, original in zip(self._parameters(*pair), originals, strict=True):
            copy_.data = original.data
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
