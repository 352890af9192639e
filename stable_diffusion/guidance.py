"""Classifier-free guidance: predictions moved from the negative prompt towards the prompt.

Source: Ho and Salimans 2022 (arXiv:2207.12598), equation 6 with s = 1 + w: scale 1 is the plain
conditional prediction here, scale 0 the unconditional one.
"""

from dataclasses import dataclass

from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network


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
    return negative + scale * (positive - negative)


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
    positive: Conditioning,
    negative: Conditioning,
    scale: float,
    rescaled: float = 0.0,
    both: bool = False,
) -> Guided:
    """One evaluation of the network with guidance.

    Both predictions are evaluated as one batch of 2n rows, those of a latent side by side; at
    scale 1 the negative one cancels out and is not computed.

    Args:
        network: see `conditioning.Network`.
        x: (n, C, h, w) scaled noisy latents.
        timesteps: (n,) position in the noise schedule, may be fractional.
        positive: one row, of the prompt, the same for all n.
        negative: one row, of the negative prompt.
        scale: s.
        rescaled: φ of `rescale`.
        both: evaluate the negative prompt at scale 1 as well.

    Returns:
        Of (n, C, h, w), in the type of the network's predictions.
    """
    n = x.shape[0]
    if scale == 1 and not both:
        values = network(x, timesteps, positive.expand(n))
        return Guided(values, values)
    conditioning = negative.expand(n).interleave(positive.expand(n))
    prediction = network(x.repeat_interleave(2, 0), timesteps.repeat_interleave(2), conditioning)
    from_negative, from_positive = prediction.unflatten(0, (n, 2)).unbind(1)
    guided = guide(from_negative, from_positive, scale)
    return Guided(rescale(guided, from_positive, rescaled), from_negative)
