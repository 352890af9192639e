"""DDIM (Song et al. 2021, arXiv:2010.02502), as CompVis's Stable Diffusion samples with it.

And DDIM CFG++ (Chung et al. 2024, arXiv:2406.08070), as AUTOMATIC1111 has it.
"""

from itertools import pairwise
from math import sqrt

from torch import Tensor

from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerFunction, SamplerOptions
from stable_diffusion.samplers.schedule import NoiseSchedule

CFGPP_SCALE = 1 / 12.5
"""CFG++'s λ, 0 to 1, is this times the guidance scale, so that the usual scales can be used."""


def start(schedule: NoiseSchedule, timestep: Tensor, noise: Tensor, image: Tensor | None) -> Tensor:
    """x_t = √ᾱ·image + √(1−ᾱ)·noise, equation 4; without an image, the noise itself."""
    if image is None:
        return noise
    alpha = schedule.alphas_cumprod[int(timestep)].item()
    return sqrt(alpha) * image + sqrt(1 - alpha) * noise


def _stepping(*, plus: bool) -> SamplerFunction:
    def run(
        denoiser: Denoiser,
        x: Tensor,
        timesteps: Tensor,
        noise: NoiseSource,
        options: SamplerOptions,
    ) -> Tensor:
        """Step down along `timesteps` to the last one, 0.

        Args:
            denoiser: gives x₀ and ε(x_t, t).
            x: (n, C, h, w), from `start` at the first timestep.
            timesteps: falling, see `NoiseSchedule.ddim_timesteps`.
            noise: drawn only if η is above 0.
            options: `eta` is η, how much of the noise is fresh at every step: 0, the default, is
                deterministic, 1 is DDPM's ancestral sampling; the variance is clamped to that of
                the next level.

        Returns:
            (n, C, h, w), scaled by √ᾱ of timestep 0 (0.9996) as CompVis leaves them.
        """
        eta = options.eta or 0.0
        alphas = denoiser.schedule.alphas_cumprod.tolist()
        for t, t_next in pairwise(timesteps.tolist()):
            alpha, alpha_next = alphas[t], alphas[t_next]
            scale = CFGPP_SCALE if plus else 1.0
            level = denoiser.training_level(x, t)
            estimate = denoiser.estimate(x, level, scaled=scale, both=plus)
            # CFG++, algorithm 2: the noise is put back without guidance
            epsilon = estimate.from_negative().epsilon()
            # equation 16: σ_t²
            variance = eta**2 * (1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)
            variance = min(variance, 1 - alpha_next)
            # equation 12: "predicted x₀", "direction pointing to x_t", "random noise"
            x = sqrt(alpha_next) * estimate.denoised() + sqrt(1 - alpha_next - variance) * epsilon
            if variance > 0:
                x = x + sqrt(variance) * noise.step().to(x.device)
        return x

    return run


ddim = _stepping(plus=False)
ddim_cfgpp = _stepping(plus=True)
