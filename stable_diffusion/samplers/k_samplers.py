"""k-diffusion's sample functions as `SamplerFunction`s: with our levels and our noise.

Here x = latents + σ·noise and levels are σ, the last one 0. The functions have an `eta` of
their own (1 for those that draw noise); a recipe's is for DDIM alone. A function is looked up when
it runs, so that listing the samplers does not load k-diffusion.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from stable_diffusion.errors import NumericalError
from stable_diffusion.samplers import k_diffusion
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerFunction
from stable_diffusion.samplers.schedule import NoiseSchedule


def start(
    schedule: NoiseSchedule,  # noqa: ARG001  σ is enough
    sigma: Tensor,
    noise: Tensor,
    image: Tensor | None,
) -> Tensor:
    """X = image + σ·noise; without an image, σ·noise."""
    x = sigma * noise
    return x if image is None else image + x


def deterministic(function: str) -> SamplerFunction:
    """A function of the levels alone."""

    def run(
        denoiser: Denoiser, x: Tensor, sigmas: Tensor, _noise: NoiseSource, _eta: float
    ) -> Tensor:
        return _function(function)(denoiser, x, sigmas, disable=True)

    return run


def ancestral(function: str) -> SamplerFunction:
    """A function that adds fresh noise after every step."""

    def run(
        denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, _eta: float
    ) -> Tensor:
        def fresh(_sigma: Tensor, _next_sigma: Tensor) -> Tensor:
            return noise.step().to(x.device)

        return _function(function)(denoiser, x, sigmas, noise_sampler=fresh, disable=True)

    return run


def brownian(function: str) -> SamplerFunction:
    """A function that follows a stochastic differential equation, along one Brownian path."""

    def run(
        denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, _eta: float
    ) -> Tensor:
        if len(sigmas) == 2:
            # a single step to 0 gives the denoised image; two of the functions fail without history
            return denoiser(x, sigmas[0].expand(len(x)))
        path = noise.brownian(denoiser.schedule.sigma_min, denoiser.schedule.sigma_max)
        return _function(function)(denoiser, x, sigmas, noise_sampler=path, disable=True)

    return run


def fast(denoiser: Denoiser, x: Tensor, sigmas: Tensor, _noise: NoiseSource, _eta: float) -> Tensor:
    """DPM-Solver-fast: as many evaluations as steps, at levels that it chooses itself.

    It ends at the smallest σ of the model, not at 0, as k-diffusion and AUTOMATIC1111 have it.
    """
    ends = denoiser.schedule.sigma_min, sigmas[0].item()
    return _function("dpm_fast")(
        denoiser, x, *ends, len(sigmas) - 1, noise_sampler=_no_noise, disable=True
    )


def adaptive(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, _noise: NoiseSource, _eta: float
) -> Tensor:
    """DPM-Solver-23 with a step size controlled by its error; ends at the smallest σ.

    It computes the error over the whole batch, so each image is sampled by itself: its steps, and
    so the picture, must not depend on the other images.
    """
    low, high = denoiser.schedule.sigma_min, sigmas[0].item()
    if high <= low * (1 + 1e-4):  # nothing is left to divide into steps
        return denoiser(x, sigmas[0].expand(len(x)))

    def checked(x: Tensor, sigma: Tensor) -> Tensor:
        denoised = denoiser(x, sigma)
        if not torch.isfinite(denoised).all():  # it would reject the step forever
            raise NumericalError("the network predicted NaN or infinity")
        return denoised

    images = [
        _function("dpm_adaptive")(checked, image, low, high, noise_sampler=_no_noise, disable=True)
        for image in x.split(1)
    ]
    return torch.cat(images)


def _function(name: str) -> Callable[..., Tensor]:
    """`sample_<name>`."""
    return getattr(k_diffusion.sampling(), f"sample_{name}")


def _no_noise(_sigma: Tensor, _next_sigma: Tensor) -> float:
    """For functions that multiply the noise by 0."""
    return 0.0
