"""Classifier-free guidance: predictions moved from the negative prompt towards the prompt.

Source: Ho and Salimans 2022 (arXiv:2207.12598), equation 6 with s = 1 + w: scale 1 is the plain
conditional prediction here, scale 0 the unconditional one. Several prompts: Liu et al. 2022
(arXiv:2206.01714), equation 11.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network
from stable_diffusion.conditioning_schedule import Weighted


@dataclass(frozen=True, eq=False)
class Guided:
    """The predictions of one evaluation.

    Attributes:
        values: (n, C, h, w), with guidance.
        negative: the same of the negative prompt alone; `values` themselves if that was not
            evaluated.
    """

    values: Tensor
    negative: Tensor


def guide(negative: Tensor, positive: Tensor, scale: float) -> Tensor:
    """`negative + scale·(positive − negative)`, of two predictions of one shape."""
    return compose(negative, [positive], [scale])


def compose(negative: Tensor, positives: Sequence[Tensor], scales: Sequence[float]) -> Tensor:
    """`negative + Σ scaleᵢ·(positiveᵢ − negative)`, of predictions of one shape."""
    guided = negative
    for positive, scale in zip(positives, scales, strict=True):
        guided = guided + scale * (positive - negative)
    return guided


def negative_cancels_out(weights: Sequence[float], scale: float) -> bool:
    """Whether the factor of the negative prediction, 1 − scale·Σ weights, is 0."""
    return scale * sum(weights) == 1


def rescale(guided: Tensor, positive: Tensor, share: float) -> Tensor:
    """Bring a guided prediction back towards the standard deviation of the prompt's own.

    Source: Lin et al. 2023 (arXiv:2305.08891), equations 15 and 16.

    Args:
        guided, positive: (n, C, h, w).
        share: φ, 0 (as it is) to 1.
    """
    if share == 0:
        return guided
    of_positive, of_guided = (each.std(dim=(1, 2, 3), keepdim=True) for each in (positive, guided))
    return share * (guided * (of_positive / of_guided)) + (1 - share) * guided


def guided_prediction(
    network: Network,
    x: Tensor,
    timesteps: Tensor,
    *,
    positive: Sequence[Weighted],
    negative: Conditioning,
    scale: float,
    rescaled: float = 0.0,
    both: bool = False,
) -> Guided:
    """One evaluation of the network with guidance.

    All predictions are evaluated as one batch of k·n rows, those of a latent side by side. The
    negative one is not computed where it cancels out, as at scale 1 with one prompt.

    Args:
        network: see `conditioning.Network`.
        x: (n, C, h, w) scaled noisy latents.
        timesteps: (n,) position in the noise schedule, may be fractional.
        positive: one row, the same for all n, of each prompt, with its weight.
        negative: one row, of the negative prompt.
        scale: s.
        rescaled: φ of `rescale`.
        both: evaluate the negative prompt even if it cancels out.

    Returns:
        Of (n, C, h, w), in the type of the network's predictions.
    """
    weights = [weight for weight, _ in positive]
    alone = negative_cancels_out(weights, scale) and not both
    rows = [row for _, row in positive] if alone else [negative, *(row for _, row in positive)]
    n, k = x.shape[0], len(rows)
    first, *others = (row.expand(n) for row in rows)
    prediction = network(
        x.repeat_interleave(k, 0), timesteps.repeat_interleave(k), first.interleave(*others)
    )
    predictions = prediction.unflatten(0, (n, k)).unbind(1)
    if alone:
        values = compose(torch.zeros_like(x), predictions, [scale * weight for weight in weights])
        return Guided(values, values)
    from_negative, *from_positive = predictions
    guided = compose(from_negative, from_positive, [scale * weight for weight in weights])
    if rescaled:
        unscaled = compose(from_negative, from_positive, weights)
        guided = rescale(guided, unscaled, rescaled)
    return Guided(guided, from_negative)
