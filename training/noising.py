"""Samples the noise levels, the noise and the caption mix of training steps."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Large areas are visible through white noise even at the last timestep, but samplers start from
# pure noise, in which the network would then see areas. Noise at the scale of the whole picture and
# of its quarters hides them, so the network learns the layout from the caption.
NOISE_OFFSET = 0.1
COARSE_NOISE = 0.08
COARSE_CELLS = 4
# The high noise levels decide what an object is: at lower ones the network sees its shape in the
# noisy latents and does not need the caption.
NOISY_FROM = 600
NOISY_SHARE = 0.65
# Still higher levels decide which of two objects has which colour; sample them more often.
NOISY_SKEW = 1.5
# At low noise levels the picture is visible. With another picture's caption the network learns to
# follow the latents there; otherwise img2img with a low strength would repaint its source.
VISIBLE_UNTIL = 300
OTHER_CAPTION = 0.8
# The prompt with the higher weight must win in a blend: share of blended captions, and the range of
# the higher weight.
BLENDED = 0.2
HEAVIER = (0.65, 0.95)


def sample_timesteps(count: int, device: torch.device) -> Tensor:
    """(count,) int64, 0..999, most of them from NOISY_FROM up."""
    anywhere = torch.randint(0, 1000, (count,), device=device)
    depth = torch.rand(count, device=device) ** NOISY_SKEW
    noisy = (999 - (999 - NOISY_FROM) * depth).round().long()
    return torch.where(torch.rand(count, device=device) < NOISY_SHARE, noisy, anywhere)


def sample_noise(latents: Tensor) -> Tensor:
    """Noise like latents (n, 4, h, w): white noise plus some at the scale of the picture."""
    count, device = len(latents), latents.device
    noise = torch.randn_like(latents)
    noise = noise + NOISE_OFFSET * torch.randn(count, 4, 1, 1, device=device)
    cells = torch.randn(count, 4, COARSE_CELLS, COARSE_CELLS, device=device)
    return noise + COARSE_NOISE * F.interpolate(cells, latents.shape[2:], mode="bilinear")


def own_caption_share(t: Tensor) -> Tensor:
    """Share of a picture's own caption in its conditioning; the rest is another picture's.

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
    return torch.where(visible & (chance < OTHER_CAPTION), 0.0, own)
