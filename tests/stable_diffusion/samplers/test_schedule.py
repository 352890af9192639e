import pytest
import torch

from stable_diffusion.samplers import k_diffusion
from stable_diffusion.samplers.schedule import (
    NoiseSchedule,
    without_penultimate,
    zero_terminal_snr,
)
from tests.stable_diffusion.samplers import toys

SCHEDULE = NoiseSchedule()
ZERO_SNR = NoiseSchedule(zero_terminal_snr(SCHEDULE.alphas_cumprod))


def test_the_levels_are_those_of_stable_diffusion():
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    theirs = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    torch.testing.assert_close(
        SCHEDULE.alphas_cumprod.float(), theirs.alphas_cumprod, rtol=1e-5, atol=0
    )
    assert SCHEDULE.sigma_min == pytest.approx(0.0292, abs=1e-4)
    assert SCHEDULE.sigma_max == pytest.approx(14.6146, abs=1e-4)


def test_timestep_and_sigma_undo_each_other():
    timesteps = torch.linspace(0, 999, 3001)
    there_and_back = SCHEDULE.timestep(SCHEDULE.sigma(timesteps))
    torch.testing.assert_close(there_and_back, timesteps, rtol=1e-5, atol=2e-3)
    assert SCHEDULE.sigma(torch.arange(1000)).equal(SCHEDULE.sigmas.log().exp())


def test_sigmas_beyond_the_ends_are_held_at_the_ends():
    assert SCHEDULE.timestep(torch.tensor([1e-3, 100.0])).tolist() == [0, 999]


@pytest.mark.parametrize("steps", [1, 2, 3, 25, 50, 1000])
def test_sigmas_lead_from_the_largest_to_zero(steps: int):
    for spacing in (NoiseSchedule.model_sigmas, NoiseSchedule.karras_sigmas):
        for levels in (spacing(SCHEDULE, steps), without_penultimate(spacing)(SCHEDULE, steps)):
            assert levels.shape == (steps + 1,)
            assert levels.dtype == torch.float32
            assert levels[0].item() == pytest.approx(SCHEDULE.sigma_max)
            assert levels[-1] == 0
            assert (levels.diff() < 0).all()


def test_the_penultimate_sigma_is_discarded():
    levels = without_penultimate(NoiseSchedule.model_sigmas)(SCHEDULE, 10)
    full = SCHEDULE.model_sigmas(11)
    assert levels.equal(torch.cat([full[:10], full[11:]]))


def test_spacings_are_those_of_k_diffusion():
    ends = SCHEDULE.sigma_min, SCHEDULE.sigma_max
    theirs = k_diffusion.sampling().get_sigmas_karras(20, *ends)
    torch.testing.assert_close(SCHEDULE.karras_sigmas(20), theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [2, 3, 7, 10, 20, 25, 30, 50, 99, 100, 125, 200, 250, 500])
def test_ddim_timesteps_are_those_of_diffusers(steps: int):
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    theirs = DDIMScheduler(steps_offset=1)
    theirs.set_timesteps(steps)
    assert SCHEDULE.ddim_timesteps(steps).tolist() == [*theirs.timesteps.tolist(), 0]


@pytest.mark.parametrize("steps", [1, *range(101, 1001, 7), 999, 1000])
def test_ddim_timesteps_cover_the_schedule_whatever_the_steps(steps: int):
    timesteps = SCHEDULE.ddim_timesteps(steps)
    assert timesteps.shape == (steps + 1,)
    assert 980 < timesteps[0] <= 999
    assert timesteps[-1] == 0
    assert (timesteps.diff() <= 0).all()


def test_levels_up_to_pure_noise_are_those_of_diffusers():
    from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

    products = SCHEDULE.alphas_cumprod
    betas = 1 - products / torch.cat([torch.ones(1, dtype=torch.float64), products[:-1]])
    theirs = torch.cumprod(1 - rescale_zero_terminal_snr(betas), 0)
    torch.testing.assert_close(ZERO_SNR.alphas_cumprod[:-1], theirs[:-1], rtol=1e-8, atol=0)
    assert theirs[-1] == 0
    # in place of infinity, as in AUTOMATIC1111
    assert ZERO_SNR.sigma_max == pytest.approx(4518.77, abs=0.01)


@pytest.mark.parametrize("key", toys.PLAIN)
def test_every_sampler_can_begin_at_pure_noise(key: str):
    network = toys.Gaussian("v", ZERO_SNR)
    denoiser = toys.denoiser(network, prediction="v", schedule=ZERO_SNR)
    deviations = toys.draw(key, denoiser, steps=30) - toys.MEAN
    assert abs(deviations.mean().item()) < 0.1
    assert deviations.std().item() == pytest.approx(toys.DEVIATION, abs=0.2)
