"""LCM and TCD: samplers for models that were distilled to a few steps.

LCM: Luo et al. 2023 (arXiv:2310.04378), algorithm 3, multistep sampling of a consistency model.
TCD: Zheng et al. 2024 (arXiv:2402.19159), algorithm 2, strategic stochastic sampling. Both as
diffusers has them, written over σ, so that they take any scheduler. Their own levels are
`NoiseSchedule.lcm_sigmas`. Like diffusers they start from √(1+σ²)·noise, see `unipc.start`.

AUTOMATIC1111 and ComfyUI sample with LCM over the same levels σ in the same way; AUTOMATIC1111's
own levels reach down to timestep 19, as the scheduler `normal` nearly does, and it tells the
network the nearest of the 50 timesteps of the distillation where the network gets that of σ here.
"""

from math import floor, sqrt

from torch import Tensor

from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.estimate import Estimate
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerOptions

TCD_GAMMA = 0.3
_SIGMA_DATA = 0.5
_TIMESTEP_SCALING = 10.0
_LOWEST_DISTILLED = 19.0
"""The timestep that ends the distillation. Below it, an LCM's boundary is that of this level: else
the last step of a scheduler that ends at timestep 0 would return its noisy input."""
_ROUNDING = 1e-3
"""Timesteps that are found by their σ are whole up to this."""


def lcm(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, options: SamplerOptions
) -> Tensor:
    """At every level to the image, and from it with fresh noise to the next level.

    Args:
        denoiser: a consistency model; its estimate of the image is combined with the latents
            by the boundary scalings c_skip and c_out.
        x: (n, C, h, w), latents + σ·noise at the first level.
        sigmas: falling.
        noise: drawn after every step but the last.
        options: `s_noise` scales that noise.
    """
    last = len(sigmas) - 2
    for i, sigma in enumerate(sigmas[:-1]):
        estimate = _estimate(denoiser, x, sigma)
        timestep = max(estimate.level.timestep[0].item(), _LOWEST_DISTILLED)
        scaled = timestep * _TIMESTEP_SCALING
        squares = scaled**2 + _SIGMA_DATA**2
        skip, out = _SIGMA_DATA**2 / squares, scaled / sqrt(squares)
        x = out * estimate.denoised() + skip * (estimate.level.to_network * x)
        if i < last:
            x = x + sigmas[i + 1] * options.s_noise * noise.step().to(x.device)
    return x


def tcd(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, options: SamplerOptions
) -> Tensor:
    """Along the estimate's own noise to below the next level, and up to it with fresh noise.

    Args:
        denoiser: a trajectory consistency model.
        x: (n, C, h, w), latents + σ·noise at the first level.
        sigmas: falling; in place of 0 the last level is the model's smallest.
        noise: drawn after every step but the last, if γ is above 0.
        options: `eta` is γ, 0.3 if it is not given: a step ends at timestep (1 − γ)·t before the
            noise brings it up to t, so that 0 is deterministic. `s_noise` scales that noise.

    Returns:
        (n, C, h, w), scaled by √ᾱ of timestep 0 as diffusers leaves them.
    """
    gamma = TCD_GAMMA if options.eta is None else options.eta
    schedule, last = denoiser.schedule, len(sigmas) - 2
    for i, sigma in enumerate(sigmas[:-1]):
        estimate = _estimate(denoiser, x, sigma)
        timestep = schedule.timestep(sigmas[i + 1]).item()
        below = schedule.sigmas[floor((1 - gamma) * timestep + _ROUNDING)].item()
        x = estimate.denoised() + below * estimate.epsilon()
        if i < last and gamma > 0:
            added = sqrt(max(sigmas[i + 1].item() ** 2 - below**2, 0.0))
            x = x + added * options.s_noise * noise.step().to(x.device)
    return x / sqrt(1 + below**2)


def _estimate(denoiser: Denoiser, x: Tensor, sigma: Tensor) -> Estimate:
    return denoiser.estimate(x, denoiser.level(sigma.expand(len(x))))
