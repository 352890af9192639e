"""Classifier-free guidance: predictions moved from the negative prompt towards the prompt.

Source: Ho and Salimans 2022 (arXiv:2207.12598), equation 6 with s = 1 + w: scale 1 is the plain
conditional prediction here, scale 0 the unconditional one.
"""

from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network


def guide(negative: Tensor, positive: Tensor, scale: float) -> Tensor:
    """`negative + scale·(positive − negative)`, of two predictions of one shape."""
    return negative + scale * (positive - negative)


def guided_prediction(
    network: Network,
    x: Tensor,
    timesteps: Tensor,
    *,
    positive: Conditioning,
    negative: Conditioning,
    scale: float,
) -> Tensor:
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

    Returns:
        (n, C, h, w), in the type of the network's predictions.
    """
    n = x.shape[0]
    if scale == 1:
        return network(x, timesteps, positive.expand(n))
    conditioning = negative.expand(n).interleave(positive.expand(n))
    prediction = network(x.repeat_interleave(2, 0), timesteps.repeat_interleave(2), conditioning)
    from_negative, from_positive = prediction.unflatten(0, (n, 2)).unbind(1)
    return guide(from_negative, from_positive, scale)
