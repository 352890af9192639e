"""k-diffusion's functions in the shape of our table: each gets its levels and its noise.

Here x = latents + σ·noise and levels are σ, the last one 0. The functions name `eta` too, but
theirs is their own (1 for those that draw noise); DDIM's does not reach them. A function is
looked up when it runs, so that listing the samplers does not load k-diffusion.
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
    schedule: NoiseSchedule,  # noqa: ARG001  σ says it all
    sigma: Tensor,
    noise: Tensor,
    image: Tensor | None,
) -> Tensor:
    """Put noise on the image, x = image + σ·noise; without one, σ·noise."""
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
            # one step to 0 is the denoised image for all of them, but two fall over their memory
            return denoiser(x, sigmas[0].expand(len(x)))
        path = noise.brownian(denoiser.schedule.sigma_min, denoiser.schedule.sigma_max)
        return _function(function)(denoiser, x, sigmas, noise_sampler=path, disable=True)

    return run


def fast(denoiser: Denoiser, x: Tensor, sigmas: Tensor, _noise: NoiseSource, _eta: float) -> Tensor:
    """DPM-Solver-fast: as many evaluations as there are steps, at levels of its own choice.

    It ends at the smallest σ of the model, not at 0, as k-diffusion and AUTOMATIC1111 have it.
    """
    ends = denoiser.schedule.sigma_min, sigmas[0].item()
    return _function("dpm_fast")(
        denoiser, x, *ends, len(sigmas) - 1, noise_sampler=_silence, disable=True
    )


def adaptive(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, _noise: NoiseSource, _eta: float
) -> Tensor:
    """DPM-Solver-23 with a step size controlled by its error; ends at the smallest σ.

    The error is taken over the whole batch, so each image is sampled by itself: its steps, and
    with them the picture, must not depend on its step_batcher.
    """
    low, high = denoiser.schedule.sigma_min, sigmas[0].item()
    if high <= low * (1 + 1e-4):  # the last step of all: nothing is left to divide
        return denoiser(x, sigmas[0].expand(len(x)))

    def checked(x: Tensor, sigma: Tensor) -> Tensor:
        denoised = denoiser(x, sigma)
        if not torch.isfinite(denoised).all():  # it would reject such a step for ever
            raise NumericalError("the network answered with values that are not numbers")
        return denoised

    images = [
        _function("dpm_adaptive")(checked, image, low, high, noise_sampler=_silence, disable=True)
        for image in x.split(1)
    ]
    return torch.cat(images)


def _function(name: str) -> Callable[..., Tensor]:
    """`sample_<name>`."""
    return getattr(k_diffusion.sampling(), f"sample_{name}")


def _silence(_sigma: Tensor, _next_sigma: Tensor) -> float:
    """For functions that multiply noise by 0: none is drawn."""
    return 0.0
