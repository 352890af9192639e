"""Classifier-free guidance: predictions moved from the negative prompt towards the prompt.

Source: Ho and Salimans 2022 (arXiv:2207.12598), equation 6 with s = 1 + w: scale 1 is the plain
conditional prediction here, scale 0 the unconditional one. Several prompts: Liu et al. 2022
(arXiv:2206.01714), equation 11. An image beside the prompt: Brooks et al. 2023 (InstructPix2Pix,
arXiv:2211.09800), equation 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log

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


def without_image(conditioning: Conditioning) -> Conditioning:
    """The conditioning with 0 in place of the image's latents."""
    assert conditioning.concat is not None
    return replace(conditioning, concat=torch.zeros_like(conditioning.concat))


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


def guidance_embedding(scale: float, width: int) -> Tensor:
    """The guidance scale as a UNet takes it that was distilled from guided predictions.

    Sines and cosines of w = scale − 1, times 1000, at frequencies from 1 to 1/10000. Source:
    diffusers' `get_guidance_scale_embedding`, after Kingma et al. 2021 (arXiv:2107.00630).

    Args:
        scale: as of `guide`.
        width: even; see `Family.guidance_width`.

    Returns:
        (1, width) float32.
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half) * (-log(10000.0) / (half - 1)))
    angles = (scale - 1) * 1000.0 * frequencies
    return torch.cat([angles.sin(), angles.cos()])[None]


def guided_prediction(
    network: Network,
    x: Tensor,
    timesteps: Tensor,
    *,
    positive: Sequence[Weighted],
    negative: Conditioning,
    scale: float,
    imageless: Conditioning | None = None,
    image_scale: float = 1.0,
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
        imageless: one row, `without_image(negative)`, for a network that an image guides as well;
            None: the image has no guidance of its own.
        image_scale: s of the image.
        rescaled: φ of `rescale`.
        both: evaluate the negative prompt even if it cancels out.

    Returns:
        Of (n, C, h, w), in the type of the network's predictions.
    """
    weights = [weight for weight, _ in positive]
    scales = [scale * weight for weight in weights]
    n, rows = x.shape[0], [row for _, row in positive]
    alone = imageless is None and negative_cancels_out(weights, scale) and not both
    if not alone:
        rows.insert(0, negative)
    if imageless is not None:
        rows.append(imageless)
    k = len(rows)
    first, *others = (row.expand(n) for row in rows)
    prediction = network(
        x.repeat_interleave(k, 0), timesteps.repeat_interleave(k), first.interleave(*others)
    )
    predictions = list(prediction.unflatten(0, (n, k)).unbind(1))
    if alone:
        values = compose(torch.zeros_like(x), predictions, scales)
        return Guided(values, values)
    from_nothing = None if imageless is None else predictions.pop()
    from_negative, *from_positive = predictions
    guided = compose(from_negative, from_positive, scales)
    if from_nothing is not None:
        guided = guided + (image_scale - 1) * (from_negative - from_nothing)
    if rescaled:
        guided = rescale(guided, compose(from_negative, from_positive, weights), rescaled)
    return Guided(guided, from_negative)
