"""What is asked of the denoiser: at which noise levels, with which noise, under which words."""

import torch
import torch.nn.functional as F
from torch import Tensor

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
OTHERS_WORDS = 0.8
# Of two blended prompts the heavier wins: how many captions are blended, and the heavier one's
# share.
BLENDED = 0.2
HEAVIER = (0.65, 0.95)


def draw_timesteps(count: int, device: torch.device) -> Tensor:
    """(count,) int64, 0..999, most of them above NOISY_FROM."""
    anywhere = torch.randint(0, 1000, (count,), device=device)
    depth = torch.rand(count, device=device) ** NOISY_SKEW
    noisy = (999 - (999 - NOISY_FROM) * depth).round().long()
    return torch.where(torch.rand(count, device=device) < NOISY_SHARE, noisy, anywhere)


def draw_noise(latents: Tensor) -> Tensor:
    """Noise like latents (n, 4, h, w): white, with a little at the scale of the whole picture."""
    count, device = len(latents), latents.device
    noise = torch.randn_like(latents)
    noise = noise + NOISE_OFFSET * torch.randn(count, 4, 1, 1, device=device)
    cells = torch.randn(count, 4, COARSE_CELLS, COARSE_CELLS, device=device)
    return noise + COARSE_NOISE * F.interpolate(cells, latents.shape[2:], mode="bilinear")


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
