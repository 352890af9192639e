"""k-diffusion's sample functions as `SamplerFunction`s: with our levels and our noise.

Here x = latents + σ·noise and levels are σ. The functions have an `eta` of their own (1 for
ancestral and SDE ones, 0 for the DPM solvers). A function is looked up when it runs, so
that listing the samplers does not load k-diffusion.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from stable_diffusion.errors import NumericalError
from stable_diffusion.sampler_table import SamplerRow
from stable_diffusion.samplers import k_diffusion
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerFunction, SamplerOptions
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


def deterministic(row: SamplerRow) -> SamplerFunction:
    """A function of the levels; it draws noise only if it is asked to churn."""

    def run(
        denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, options: SamplerOptions
    ) -> Tensor:
        given = _given(row, options)
        if not options.s_churn:
            return _function(row.function)(denoiser, x, sigmas, **given, disable=True)
        with k_diffusion.drawing(lambda x: noise.step().to(x.device)):
            return _function(row.function)(denoiser, x, sigmas, **given, disable=True)

    return run


def ancestral(row: SamplerRow) -> SamplerFunction:
    """A function that adds fresh noise after every step."""

    def run(
        denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, options: SamplerOptions
    ) -> Tensor:
        return _function(row.function)(
            denoiser,
            x,
            sigmas,
            noise_sampler=_fresh(noise),
            **_given(row, options),
            disable=True,
        )

    return run


def brownian(row: SamplerRow) -> SamplerFunction:
    """A function that follows a stochastic differential equation, along one Brownian path."""

    def run(
        denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, options: SamplerOptions
    ) -> Tensor:
        if len(sigmas) == 2 and sigmas[-1] == 0:
            # a single step to 0 gives the denoised image; two of the functions fail without history
            return denoiser(x, sigmas[0].expand(len(x)))
        path = noise.brownian(denoiser.schedule.sigma_min, denoiser.schedule.sigma_max)
        given = _given(row, options)
        return _function(row.function)(
            denoiser, x, sigmas, noise_sampler=path, **given, disable=True
        )

    return run


def fast(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, options: SamplerOptions
) -> Tensor:
    """DPM-Solver-fast: as many evaluations as steps, at levels that it chooses itself.

    It ends at the smallest σ of the model, not at 0, as k-diffusion and AUTOMATIC1111 have it.
    """
    low, high = denoiser.schedule.sigma_min, sigmas[0].item()
    if _indivisible(low, high):
        return denoiser(x, sigmas[0].expand(len(x)))
    return _function("dpm_fast")(
        denoiser, x, low, high, len(sigmas) - 1, **_dpm_noise(noise, options), disable=True
    )


def adaptive(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: NoiseSource, options: SamplerOptions
) -> Tensor:
    """DPM-Solver-23 with a step size controlled by its error; ends at the smallest σ.

    It computes the error over the whole batch, so each image is sampled by itself: its steps, and
    so the picture, must not depend on the other images.
    """
    low, high = denoiser.schedule.sigma_min, sigmas[0].item()
    if _indivisible(low, high):
        return denoiser(x, sigmas[0].expand(len(x)))

    def checked(x: Tensor, sigma: Tensor) -> Tensor:
        denoised = denoiser(x, sigma)
        if not torch.isfinite(denoised).all():  # it would reject the step forever
            raise NumericalError("the network predicted NaN or infinity")
        return denoised

    images = [
        _function("dpm_adaptive")(
            checked, image, low, high, **_dpm_noise(noise.of_image(i), options), disable=True
        )
        for i, image in enumerate(x.split(1))
    ]
    return torch.cat(images)


def _given(row: SamplerRow, options: SamplerOptions) -> dict[str, float]:
    """The options that a function takes, without those that are left to it."""
    names = (field.name for field in fields(options) if field.name in row.takes)
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _indivisible(low: float, high: float) -> bool:
    """Whether the DPM solvers find no step between two σ, the ends of a range."""
    return high <= low * (1 + 1e-4)


def _dpm_noise(noise: NoiseSource, options: SamplerOptions) -> dict[str, Any]:
    """The arguments of the DPM solvers, which draw noise only with an η above 0."""
    if not options.eta:
        return {"noise_sampler": _no_noise}
    given = {"eta": options.eta, "s_noise": options.s_noise}
    return given | {"noise_sampler": _fresh(noise)}


def _fresh(noise: NoiseSource) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda sigma, _next_sigma: noise.step().to(sigma.device)


def _function(name: str) -> Callable[..., Tensor]:
    """`sample_<name>`."""
    return getattr(k_diffusion.sampling(), f"sample_{name}")


def _no_noise(_sigma: Tensor, _next_sigma: Tensor) -> float:
    """For functions that multiply the noise by 0."""
    return 0.0
