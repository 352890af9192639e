"""Each scheduler's levels are those of its source, and lead to the picture whatever the sampler."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from numpy.typing import NDArray
from torch import Tensor

from stable_diffusion.samplers import SAMPLERS, k_diffusion, resolve
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampling import evaluations_planned, executed_steps
from stable_diffusion.samplers.schedulers import SCHEDULERS
from tests.stable_diffusion.samplers.toys import (
    MEAN,
    PLAIN,
    SCHEDULE,
    SHAPE,
    Gaussian,
    denoiser,
    distance,
    draw,
)

TAKING = [key for key in PLAIN if "scheduler" in SAMPLERS[key].row.takes]
ENDS = SCHEDULE.sigma_min, SCHEDULE.sigma_max
KNOWN = SCHEDULE.sigmas.double().numpy()


def diffusers(option: str, steps: int) -> Tensor:
    options: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, option: True}
    scheduler = EulerDiscreteScheduler(beta_schedule="scaled_linear", **options)
    scheduler.set_timesteps(steps)
    return scheduler.sigmas


def k_diffusion_levels(name: str, steps: int) -> Tensor:
    return getattr(k_diffusion.sampling(), f"get_sigmas_{name}")(steps, *ENDS)


def at(timesteps: NDArray[Any] | Sequence[float]) -> Tensor:
    """σ at fractional timesteps, then 0."""
    sigmas = np.exp(np.interp(timesteps, np.arange(1000), np.log(KNOWN)))
    return torch.tensor([*sigmas, 0.0])


def aligned(steps: int) -> Tensor:
    """NVIDIA's published levels and their way to other numbers of steps."""
    published = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
    places = np.linspace(0, 1, steps)
    logs = np.interp(places, np.linspace(0, 1, 11), np.log(published[::-1]))
    return torch.tensor([*np.exp(logs)[::-1], 0.0])


def kl(steps: int) -> Tensor:
    shares = np.arange(steps + 1) / steps
    low, high = np.arctan(ENDS)
    return torch.tensor(np.tan(shares * low + (1 - shares) * high))


SOURCES: dict[str, Callable[[int], Tensor]] = {
    "karras": partial(k_diffusion_levels, "karras"),
    "exponential": partial(k_diffusion_levels, "exponential"),
    "polyexponential": partial(k_diffusion_levels, "polyexponential"),
    "sgm_uniform": lambda steps: at(np.linspace(999, 0, steps + 1)[:-1]),
    "kl_optimal": kl,
    "align_your_steps": aligned,
    "simple": lambda steps: at([999 - int(n * 1000 / steps) for n in range(steps)]),
    "normal": lambda steps: at(np.linspace(999, 0, steps)),
    "ddim_uniform": lambda steps: at(np.arange(1, 1000, 1000 // steps)[:steps][::-1]),
    "beta": partial(diffusers, "use_beta_sigmas"),
}


@pytest.mark.parametrize("steps", [2, 7, 10, 11, 20, 40])
@pytest.mark.parametrize("key", SOURCES)
def test_the_levels_are_those_of_the_source(key: str, steps: int):
    expected = SOURCES[key](steps).float()
    torch.testing.assert_close(SCHEDULERS[key](SCHEDULE, steps), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("key", "option"), [("karras", "use_karras_sigmas"), ("exponential", "use_exponential_sigmas")]
)
def test_the_levels_are_those_of_diffusers_too(key: str, option: str):
    ours = SCHEDULERS[key](SCHEDULE, 20)
    torch.testing.assert_close(ours, diffusers(option, 20), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 3, 50, 1000])
@pytest.mark.parametrize("key", SCHEDULERS)
def test_levels_fall_from_near_the_largest(key: str, steps: int):
    levels = SCHEDULERS[key](SCHEDULE, steps)
    assert levels.shape == (steps + 1,)
    assert levels.dtype == torch.float32
    assert (levels.diff() < 0).all()
    # `ddim_uniform` with two steps starts in the middle of the schedule
    assert levels[0] > (1 if key == "ddim_uniform" else 14.6)
    assert levels[-1] == 0 or key == "kl_optimal"


@pytest.mark.parametrize("key", SCHEDULERS)
def test_no_level_is_visited_twice_where_the_last_but_one_is_left_out(key: str):
    for steps in (999, 1000):
        levels = resolve("k_dpmpp_3m_sde", key).spacing(SCHEDULE, steps)
        assert levels.shape == (steps + 1,)
        assert (levels.diff() < 0).all()


@pytest.mark.parametrize("key", [key for key in TAKING if f"{key}_ka" in SAMPLERS])
def test_a_karras_sampler_is_the_plain_one_with_that_scheduler_to_the_bit(key: str):
    named = draw(f"{key}_ka", denoiser(Gaussian()), steps=7)
    assert draw(key, denoiser(Gaussian()), steps=7, scheduler="karras").equal(named)
    assert draw(f"{key}_ka", denoiser(Gaussian()), steps=7, scheduler="karras").equal(named)


@pytest.mark.parametrize("key", [key for key in PLAIN if key not in TAKING])
def test_a_sampler_with_levels_of_its_own_keeps_them(key: str):
    own = draw(key, denoiser(Gaussian()), steps=5)
    assert draw(key, denoiser(Gaussian()), steps=5, scheduler="karras").equal(own)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("key", TAKING)
def test_every_pair_makes_the_planned_evaluations(key: str, scheduler: str):
    sampler = resolve(key, scheduler)
    for steps in (1, 4):
        denoise = denoiser(Gaussian())
        latents = draw(key, denoise, steps=steps, scheduler=scheduler)
        assert denoise.evaluations == evaluations_planned(sampler, steps)
        assert latents.isfinite().all()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_leads_to_the_picture(scheduler: str):
    latents = draw("k_dpmpp_2m", denoiser(Gaussian()), steps=40, scheduler=scheduler)
    exact = Gaussian.exact(NoiseSource((1, 2), SHAPE).initial())
    assert distance(latents, exact) < 0.05


@pytest.mark.parametrize("scheduler", ["karras", "kl_optimal"])
@pytest.mark.parametrize("strength", [0.2, 0.7, 1.0])
def test_restart_makes_the_planned_evaluations_from_any_level(scheduler: str, strength: float):
    for steps in (25, 100):
        denoise = denoiser(Gaussian())
        image = MEAN[None]
        draw("restart", denoise, steps=steps, scheduler=scheduler, image=image, strength=strength)
        executed = executed_steps(steps, strength)
        planned = evaluations_planned(resolve("restart", scheduler), executed)
        assert denoise.evaluations == planned
