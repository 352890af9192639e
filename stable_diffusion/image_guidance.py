"""Guidance by an image beside that by the prompt, for networks that take both.

Source: Brooks et al. 2023 (InstructPix2Pix, arXiv:2211.09800), equation 3.
"""

from dataclasses import replace

from torch import Tensor

from stable_diffusion.conditioning import Conditioning, Network


def without_image(conditioning: Conditioning) -> Conditioning:
    """The conditioning with 0 in place of the image's latents."""
    assert conditioning.concat is not None
    return replace(conditioning, concat=conditioning.concat.new_zeros(conditioning.concat.shape))


def image_guided_prediction(
    network: Network,
    x: Tensor,
    timesteps: Tensor,
    *,
    positive: Conditioning,
    negative: Conditioning,
    imageless: Conditioning,
    scale: float,
    image_scale: float,
) -> Tensor:
    """One evaluation of the network with both guidances, as one batch of 3n rows.

    Args:
        network: see `conditioning.Network`.
        x: (n, C, h, w) scaled noisy latents.
        timesteps: (n,) position in the noise schedule, may be fractional.
        positive: one row, of the prompt and the image.
        negative: one row, of the negative prompt and the image.
        imageless: one row, `without_image(negative)`.
        scale: s_T, of the prompt.
        image_scale: s_I, of the image.

    Returns:
        (n, C, h, w): e(∅, ∅) + s_I·(e(∅, image) − e(∅, ∅)) + s_T·(e(prompt, image) − e(∅, image)).
    """
    n = x.shape[0]
    rows = [each.expand(n) for each in (imageless, negative, positive)]
    prediction = network(
        x.repeat_interleave(3, 0), timesteps.repeat_interleave(3), rows[0].interleave(*rows[1:])
    )
    plain, from_image, from_both = prediction.unflatten(0, (n, 3)).unbind(1)
    return plain + image_scale * (from_image - plain) + scale * (from_both - from_image)
