"""The teacher of a distillation: a trained model gives the targets of a new one.

A picture and its noise are one sample of the possible targets; the teacher predicts their mean, so
the student needs fewer steps. Source: Hinton et al. 2015 (arXiv:1503.02531), with the target of
Salimans and Ho 2022 (appendix D).
"""

from dataclasses import dataclass

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.networks import text_states, unet_prediction
from stable_diffusion.prompt.conditioning import apply_weights
from stable_diffusion.prompt.tokenizer import ClipTokenizer


def mixed_text_states(text: CLIPTextModel, ids: Tensor, weights: Tensor, own: Tensor) -> Tensor:
    """Text states of captions, each mixed with those of the previous caption in the batch.

    Args:
        text: the text encoder.
        ids, weights: (n, 77).
        own: (n, 1, 1), the share of a picture's own caption, 0..1.

    Returns:
        (n, 77, width).
    """
    return mixed(apply_weights(text_states(text, ids), weights), own)


def mixed(rows: Tensor, own: Tensor) -> Tensor:
    """Each row mixed with the previous one, by its own share."""
    return own * rows + (1 - own) * rows.roll(1, 0)


@dataclass(frozen=True)
class Teacher:
    """A model that predicts the noise, and whose prediction is converted to v.

    Attributes:
        unet, text: its networks.
        tokenizer: of the teacher; only its padding may differ from the student's.
    """

    unet: UNet2DConditionModel
    text: CLIPTextModel
    tokenizer: ClipTokenizer

    @torch.no_grad()
    def velocity(
        self, noised: Tensor, t: Tensor, alpha: Tensor, ids: Tensor, weights: Tensor, own: Tensor
    ) -> Tensor:
        """Its prediction as v = (ε - √(1-ᾱ)·x) / √ᾱ.

        Args:
            noised: x, (n, 4, h, w).
            t: (n,).
            alpha: ᾱ of t, (n, 1, 1, 1).
            ids, weights, own: as for `mixed_text_states`; the ids have the student's padding.
        """
        hidden = mixed_text_states(self.text, self._own_ids(ids), weights, own)
        noise = unet_prediction(self.unet, noised, t, Conditioning(hidden))
        return (noise - (1 - alpha).sqrt() * noised) / alpha.sqrt()

    def _own_ids(self, ids: Tensor) -> Tensor:
        """The ids with the teacher's padding."""
        ended = (ids == self.tokenizer.end).cumsum(1) > 0
        padding = ended.roll(1, 1)
        padding[:, 0] = False
        return torch.where(padding, self.tokenizer.pad, ids)
