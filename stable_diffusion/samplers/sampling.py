"""From noise, or an image, to finished latents with any sampler of the table."""

import torch
from torch import Tensor

from stable_diffusion.bounds import executed_steps
from stable_diffusion.errors import NumericalError
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import NO_OPTIONS, Sampler, SamplerOptions
from stable_diffusion.samplers.schedule import NoiseSchedule


@torch.no_grad()
def sample(
    sampler: Sampler,
    denoiser: Denoiser,
    noise: NoiseSource,
    *,
    steps: int,
    options: SamplerOptions = NO_OPTIONS,
    init_latents: Tensor | None = None,
    strength: float = 1.0,
    noise_multiplier: float = 1.0,
    initial_noise: Tensor | None = None,
) -> Tensor:
    """Sample a batch.

    Args:
        sampler: a row of `SAMPLERS`.
        denoiser: its noise levels and its device are those of the sampling.
        noise: all randomness, n images.
        steps: into how many steps the whole range of levels is divided, 1 to 1000.
        options: those that the sampler does not take have no effect.
        init_latents: (n or 1, C, h, w) latents to start from, for image to image.
        strength: with `init_latents`, the share of the steps that is executed, above 0 and up to 1;
            see `bounds.executed_steps`. At 1 sampling starts from pure noise, without the image.
        noise_multiplier: with `init_latents`, scales the noise that is put on them.
        initial_noise: (n or 1, C, h, w), in place of `noise.initial()`.

    Returns:
        (n, C, h, w) float32 on the denoiser's device.

    Raises:
        RecipeError: steps or strength out of range.
        NumericalError: the result contains NaN or infinity.
    """
    executed = executed_steps(steps, strength if init_latents is not None else 1.0)
    levels = sampler.spacing(denoiser.schedule, steps)[steps - executed :].to(denoiser.device)
    start_noise = noise.initial() if initial_noise is None else initial_noise
    start_noise = start_noise.to(denoiser.device, torch.float32)
    image = None
    if init_latents is not None:
        start_noise = start_noise * noise_multiplier
        if strength < 1:
            image = init_latents.to(denoiser.device, torch.float32)
    row = sampler.row
    denoiser.begin(levels, evaluations_planned(sampler, executed), exact=row.exact)
    x = sampler.start(denoiser.schedule, levels[0], start_noise, image)
    latents = sampler.run(denoiser, x.expand(noise.count, -1, -1, -1), levels, noise, options)
    if not torch.isfinite(latents).all():
        raise NumericalError("the network predicted NaN or infinity")
    return latents


def step_timesteps(
    sampler: Sampler, schedule: NoiseSchedule, steps: int, executed: int
) -> list[float]:
    """The levels at which the executed steps start, as timesteps, falling."""
    levels = sampler.spacing(schedule, steps)[steps - executed : -1]
    return (levels if not levels.is_floating_point() else schedule.timestep(levels)).tolist()


def evaluations_planned(sampler: Sampler, executed_steps: int, images: int = 1) -> int:
    """Network evaluations of one call of `sample`, for progress.

    Exact for every sampler but DPM adaptive, where it is an estimate: that one samples its images
    one after another and chooses the number of evaluations by its error.
    """
    planned = sampler.row.evaluations(executed_steps, sampler.to_zero)
    return planned if sampler.row.exact else planned * images
