"""DeepCache: most layers of a UNet are computed at every n-th evaluation of a job only.

What the deep layers say of a picture changes little from one step to the next. So the input of the
last layer on the way up is kept; in between only that layer is computed, and the first convolution,
which it is joined to. Source: Ma et al. 2023 (arXiv:2312.00858), with uniform intervals and the
shallowest branch, the default of the authors' package (`cache_branch_id=0`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.networks import unet_inputs

Evaluate = Callable[[UNet2DConditionModel, Tensor, Tensor, Conditioning], Tensor]
"""As `networks.unet_prediction`."""


class DeepCache:
    """The evaluations of one batch of a job, in one thread. Never shared between jobs.

    Args:
        interval: how many evaluations use one computation of the deep layers, its own included.

    Attributes:
        full, shallow: how many evaluations computed all layers so far, and how many did not.
    """

    def __init__(self, interval: int) -> None:
        self.full = self.shallow = 0
        self._interval = interval
        self._uses = 0
        self._timestep = 0.0
        self._conditioning: tuple[Tensor, ...] = ()
        self._kept: list[Tensor] = []

    def evaluation(self, timesteps: Tensor, conditioning: Conditioning) -> Evaluate:
        """What computes the next evaluation: called for its rows, a part after the other.

        Whatever it is asked for, all layers are computed where the prompts changed, where other
        rows are evaluated (as where guidance begins), and where the noise level is above that
        of the last such computation: a sampler went back.

        Args:
            timesteps, conditioning: of all its rows; they are divided alike at every evaluation.
        """
        timestep = timesteps.max().item()
        same = len(self._conditioning) == len(conditioning.tensors) and all(
            map(torch.equal, self._conditioning, conditioning.tensors)
        )
        if same and timestep <= self._timestep and self._uses < self._interval:
            self.shallow += 1
            self._uses += 1
            kept = iter(self._kept)
            return lambda unet, x, t, row: _from_shallow(unet, x, t, row, next(kept))
        self.full += 1
        self._uses, self._timestep, self._kept = 1, timestep, []
        self._conditioning = conditioning.tensors
        return partial(_from_all, self._kept)


def _from_all(
    kept: list[Tensor], unet: UNet2DConditionModel, x: Tensor, t: Tensor, conditioning: Conditioning
) -> Tensor:
    """The prediction of `unet_prediction` to the bit; what the last layer got is kept."""
    x, emb, context = _embedded(unet, x, t, conditioning)
    sample = unet.conv_in(x)
    joined = [sample]
    for block in unet.down_blocks:
        sample, outputs = block(sample, emb, **_attending(block, context))
        joined += outputs
    if unet.mid_block is not None:
        sample = unet.mid_block(sample, emb, **_attending(unet.mid_block, context))
    for block in list(unet.up_blocks)[:-1]:
        count = len(block.resnets)  # pyright: ignore[reportArgumentType]
        joined, own = joined[:-count], tuple(joined[-count:])
        sample = block(
            hidden_states=sample,
            temb=emb,
            res_hidden_states_tuple=own,
            # sides that are not multiples of what the UNet divides them by are rounded
            upsample_size=joined[-1].shape[2:],
            **_attending(block, context),
        )
    for layer in _layers(unet.up_blocks[-1])[:-1]:
        sample = _through(layer, torch.cat([sample, joined.pop()], 1), emb, context)
    kept.append(sample)
    return _finished(unet, sample, joined.pop(), emb, context)


def _from_shallow(
    unet: UNet2DConditionModel, x: Tensor, t: Tensor, conditioning: Conditioning, deep: Tensor
) -> Tensor:
    x, emb, context = _embedded(unet, x, t, conditioning)
    return _finished(unet, deep, unet.conv_in(x), emb, context)


def _finished(
    unet: UNet2DConditionModel, sample: Tensor, first: Tensor, emb: Tensor, context: Tensor
) -> Tensor:
    """Through the last layer on the way up, which is joined to the first convolution's output."""
    last = _layers(unet.up_blocks[-1])[-1]
    sample = _through(last, torch.cat([sample, first], 1), emb, context)
    assert unet.conv_norm_out is not None
    assert unet.conv_act is not None
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(sample)))


def _embedded(
    unet: UNet2DConditionModel, x: Tensor, t: Tensor, conditioning: Conditioning
) -> tuple[Tensor, Tensor, Tensor]:
    """The input of the first convolution, the embedding of all but the text, and the text's."""
    x, added = unet_inputs(x, conditioning)
    context = conditioning.context
    time = unet.get_time_embed(sample=x, timestep=t)
    assert time is not None
    emb: Tensor = unet.time_embedding(time, conditioning.guidance)
    more = unet.get_aug_embed(emb=emb, encoder_hidden_states=context, added_cond_kwargs=added or {})
    return x, emb if more is None else emb + more, context


def _layers(block: Any) -> list[tuple[Any, Any]]:
    """Its residual layers, each with the attention that follows it, or None."""
    attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)
    return list(zip(block.resnets, attentions, strict=True))


def _through(layer: tuple[Any, Any], sample: Tensor, emb: Tensor, context: Tensor) -> Tensor:
    residual, attention = layer
    sample = residual(sample, emb)
    if attention is None:
        return sample
    return attention(sample, encoder_hidden_states=context, return_dict=False)[0]


def _attending(block: Any, context: Tensor) -> dict[str, Tensor]:
    """The argument of a block with attention to the text."""
    return (
        {"encoder_hidden_states": context} if getattr(block, "has_cross_attention", False) else {}
    )
