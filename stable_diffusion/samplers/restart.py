"""Restart (Xu et al. 2023, arXiv:2306.14878): part of the way is made again, from fresh noise.

As AUTOMATIC1111 has it: Heun's steps; from 20 steps on, the levels between σ = 2 and σ = 0.1 are
repeated once, and from 36 steps on twice.
"""

from itertools import pairwise

import torch
from torch import Tensor

from stable_diffusion.sampler_table import FEWEST_STEPS_TO_RESTART
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerOptions
from stable_diffusion.samplers.schedule import append_zero, karras_levels

_TWICE_FROM = 36
_FROM_SIGMA, _TO_SIGMA = 2.0, 0.1

Step = tuple[float, float]
"""σ before and after."""


def restart(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, options: SamplerOptions
) -> Tensor:
    """Step down along `steps_of`.

    Args:
        denoiser: gives D(x; σ).
        x: (n, C, h, w), latents + σ·noise at the first level.
        sigmas: falling.
        noise: drawn at every restart.
        options: `s_noise` scales that noise.
    """
    last = sigmas[0].item()
    for sigma, after in steps_of(sigmas):
        if sigma > last:
            fresh = noise.step().to(x.device)
            x = x + fresh * options.s_noise * (sigma**2 - last**2) ** 0.5
        slope = (x - _denoised(denoiser, x, sigma)) / sigma
        trial = x + slope * (after - sigma)
        if after == 0:
            x = trial
        else:
            second = (trial - _denoised(denoiser, trial, after)) / after
            x = x + (slope + second) / 2 * (after - sigma)
        last = after
    return x


def steps_of(sigmas: Tensor) -> list[Step]:
    """The steps over levels, as many as there are, with those that are repeated.

    With enough steps the levels have the Karras spacing, between the ends of the given ones. Where
    they start so low that nothing can be repeated, all steps go down.
    """
    steps = len(sigmas) - 1
    if steps < FEWEST_STEPS_TO_RESTART:
        return list(pairwise(sigmas.tolist()))
    times, length = (2, steps // 4) if steps >= _TWICE_FROM else (1, 9)
    ends = sigmas[0].item(), sigmas[-2].item()
    levels = append_zero(karras_levels(steps - times * length, *ends))
    low, high = (int((levels - sigma).abs().argmin()) for sigma in (_TO_SIGMA, _FROM_SIGMA))
    if high >= low:
        return list(pairwise(append_zero(karras_levels(steps, *ends)).tolist()))
    again = karras_levels(length + 1, levels[high].item(), levels[low].item())
    down = list(pairwise(levels.tolist()))
    return [*down[:low], *times * list(pairwise(again.tolist())), *down[low:]]


def _denoised(denoiser: Denoiser, x: Tensor, sigma: float) -> Tensor:
    return denoiser(x, torch.full((len(x),), sigma, device=x.device))
