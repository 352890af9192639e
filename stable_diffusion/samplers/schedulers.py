"""The formulas of the schedulers: a number of steps to noise levels σ, as AUTOMATIC1111 has them.

Each returns (steps + 1,) float32, falling, the last one 0 unless said otherwise. Where a formula
would start a single step at the smallest level, it starts at the largest here, since the network
would take noise for a finished picture.
"""

from collections.abc import Callable, Mapping
from math import atan, log
from types import MappingProxyType

import torch
from torch import Tensor

from stable_diffusion.samplers.schedule import NoiseSchedule, append_zero

_BETA_SHAPE = 0.6
# Sabour et al. 2024 (arXiv:2404.14507), the levels published for Stable Diffusion 1.5
_ALIGNED = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)

Scheduler = Callable[[NoiseSchedule, int], Tensor]


def exponential(schedule: NoiseSchedule, steps: int) -> Tensor:
    """From the largest σ to the smallest, log σ evenly apart (k-diffusion)."""
    ends = log(schedule.sigma_max), log(schedule.sigma_min)
    return append_zero(torch.linspace(*ends, steps, dtype=torch.float64).exp().float())


def sgm_uniform(schedule: NoiseSchedule, steps: int) -> Tensor:
    """From the largest σ at timesteps evenly apart, without the smallest (Stability AI's SGM).

    With Euler it is what AUTOMATIC1111 and ComfyUI sample Lightning and Turbo models with. Its
    timesteps are 999·(1 − k/steps), with fractions: above those of `trailing` by less than 1.
    """
    return append_zero(schedule.sigma(torch.linspace(len(schedule.sigmas) - 1, 0, steps + 1)[:-1]))


def trailing(schedule: NoiseSchedule, steps: int) -> Tensor:
    """At the trained timesteps nearest to 1000·(1 − k/steps) − 1, then 0.

    diffusers' `timestep_spacing="trailing"` (Lin et al. 2023, arXiv:2305.08891, section 3.3), which
    Lightning and Hyper-SD models name. Unlike `sgm_uniform` it visits whole timesteps only.
    """
    count = len(schedule.sigmas)
    ends = count - torch.arange(steps, dtype=torch.float64) * count / steps
    return append_zero(schedule.sigmas[ends.round().long() - 1])


def kl_optimal(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Arctan σ evenly apart, from the largest σ to the smallest, which is the last level.

    Source: Sabour et al. 2024 (arXiv:2404.14507), equation 14.
    """
    ends = atan(schedule.sigma_max), atan(schedule.sigma_min)
    return torch.linspace(*ends, steps + 1, dtype=torch.float64).tan().float()


def align_your_steps(schedule: NoiseSchedule, steps: int) -> Tensor:
    """The levels of "Align Your Steps" for Stable Diffusion 1, log σ interpolated linearly.

    They are held to the levels that the model was trained on.
    """
    known = torch.tensor(_ALIGNED, dtype=torch.float64).log()
    places = torch.linspace(0, len(known) - 1, steps, dtype=torch.float64)
    low = places.floor().long().clamp(max=len(known) - 2)
    sigmas = known[low].lerp(known[low + 1], places - low).exp().float()
    if steps == 1:
        sigmas = sigmas.new_tensor([schedule.sigma_max])
    return append_zero(sigmas.clamp(max=schedule.sigma_max))


def simple(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Every k-th trained level from the largest on, without interpolation (ComfyUI)."""
    count = len(schedule.sigmas)
    indices = [count - 1 - int(n * (count / steps)) for n in range(steps)]
    return append_zero(schedule.sigmas[indices])


def ddim_uniform(schedule: NoiseSchedule, steps: int) -> Tensor:
    """σ of DDIM's timesteps, see `NoiseSchedule.ddim_timesteps`.

    Where the steps do not divide 1000, AUTOMATIC1111 executes more steps than were asked for; here
    it is the last ones of them.
    """
    if steps == len(schedule.sigmas):
        return append_zero(schedule.sigmas.flip(0))  # DDIM's would have the largest twice
    return append_zero(schedule.sigmas[schedule.ddim_timesteps(steps)[:-1]])


def beta_spaced(schedule: NoiseSchedule, steps: int) -> Tensor:
    """σ between its ends at quantiles of the distribution Beta(0.6, 0.6).

    Source: Lee et al. 2024 (arXiv:2407.12173), with σ in place of the timestep, as AUTOMATIC1111
    and diffusers have it.
    """
    from scipy.stats import beta  # noqa: PLC0415 - takes a second to import

    quantiles = beta.ppf(torch.linspace(1, 0, steps, dtype=torch.float64), _BETA_SHAPE, _BETA_SHAPE)
    low, high = schedule.sigma_min, schedule.sigma_max
    return append_zero((low + torch.as_tensor(quantiles) * (high - low)).float())


SCHEDULERS: Mapping[str, Scheduler] = MappingProxyType(
    {
        "karras": NoiseSchedule.karras_sigmas,
        "exponential": exponential,
        "polyexponential": exponential,  # they differ only in ρ, which is 1 in both
        "sgm_uniform": sgm_uniform,
        "trailing": trailing,
        "kl_optimal": kl_optimal,
        "align_your_steps": align_your_steps,
        "simple": simple,
        "normal": NoiseSchedule.model_sigmas,
        "ddim_uniform": ddim_uniform,
        "beta": beta_spaced,
    }
)
"""By the keys of the table of schedulers, without `automatic`."""
