"""Restart against its algorithm over the published levels, and DDIM CFG++ against its formula."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from stable_diffusion.guidance import guide
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.restart import steps_of
from stable_diffusion.samplers.schedule import NoiseSchedule, zero_terminal_snr
from tests.stable_diffusion.samplers.toys import (
    NEGATIVE,
    POSITIVE,
    SCHEDULE,
    SHAPE,
    Gaussian,
    Prediction,
    denoiser,
    distance,
    draw,
    random_unet,
)


def karras(count: int, low: float, high: float) -> list[float]:
    return list(np.linspace(high ** (1 / 7), low ** (1 / 7), count) ** 7)


@pytest.mark.parametrize(("steps", "repeats", "length"), [(20, 1, 9), (35, 1, 9), (40, 2, 10)])
def test_restart_repeats_the_middle_of_the_way(steps: int, repeats: int, length: int):
    walked = steps_of(SCHEDULE.karras_sigmas(steps))
    assert len(walked) == steps
    ups = [(b, a) for (_, b), (a, _) in pairwise(walked) if a > b]
    assert len(ups) == repeats
    levels = [*karras(steps - repeats * length, SCHEDULE.sigma_min, SCHEDULE.sigma_max), 0.0]
    low, high = (min(levels, key=lambda s: abs(s - near)) for near in (0.1, 2.0))
    assert ups == [(pytest.approx(low, rel=1e-4), pytest.approx(high, rel=1e-4))] * repeats
    again = [step for step in walked if step[0] <= high * 1.001 and step[1] >= low * 0.999]
    assert len(again) >= length * repeats
    assert walked[-1][1] == 0


def test_below_20_steps_restart_is_heun_over_karras_levels():
    def network(sampler: str, **more: str) -> Tensor:
        return draw(sampler, denoiser(random_unet(), scale=3.0), steps=12, **more)  # type: ignore[arg-type]

    assert distance(network("restart"), network("k_heun", scheduler="karras")) < 1e-5


def test_restart_goes_on_from_fresh_noise_of_each_picture():
    source = NoiseSource((1, 2), SHAPE)
    denoise = denoiser(random_unet())
    sigmas = SCHEDULE.karras_sigmas(20)
    x, last = sigmas[0] * source.initial(), sigmas[0].item()
    for before, after in steps_of(sigmas):
        if before > last:
            x = x + source.step() * np.sqrt(before**2 - last**2)
        slope = (x - denoise(x, torch.full((2,), before))) / before
        end = x + slope * (after - before)
        if after:
            other = (end - denoise(end, torch.full((2,), after))) / after
            end = x + (slope + other) * (after - before) / 2
        x, last = end, after
    assert distance(draw("restart", denoiser(random_unet()), steps=20), x) < 1e-4


def test_a_step_of_ddim_from_pure_noise_loses_no_digits():
    """There √ᾱ is 0.0002: divided by it, the rounding error of ε would be seen in x₀."""
    schedule = NoiseSchedule(zero_terminal_snr(SCHEDULE.alphas_cumprod))
    high, low = (schedule.alphas_cumprod[t].item() for t in (999, 0))
    noise = NoiseSource((1, 2), SHAPE).initial()
    v = Gaussian("v", schedule)(noise, torch.full((2,), 999.0), POSITIVE.expand(2))
    clean = high**0.5 * noise - (1 - high) ** 0.5 * v
    expected = low**0.5 * clean + (1 - low) ** 0.5 * (high**0.5 * v + (1 - high) ** 0.5 * noise)
    denoise = denoiser(Gaussian("v", schedule), prediction="v", schedule=schedule)
    torch.testing.assert_close(draw("ddim", denoise, steps=1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("scale", [5.0, 12.5])
def test_ddim_cfgpp_puts_the_unguided_noise_back(prediction: Prediction, scale: float):
    """Algorithm 2 of the paper, with λ = scale/12.5 as AUTOMATIC1111 has it."""
    alphas = SCHEDULE.alphas_cumprod
    x = NoiseSource((1, 2), SHAPE).initial()
    timesteps = SCHEDULE.ddim_timesteps(10).tolist()
    with torch.no_grad():
        for t, after in pairwise(timesteps):
            a, b = alphas[t].item(), alphas[after].item()
            answers = [
                random_unet()(x, torch.full((2,), float(t)), prompt.expand(2))
                for prompt in (NEGATIVE, POSITIVE)
            ]
            if prediction == "v":
                answers = [a**0.5 * v + (1 - a) ** 0.5 * x for v in answers]
            epsilon = guide(*answers, scale / 12.5)
            clean = (x - (1 - a) ** 0.5 * epsilon) / a**0.5
            x = b**0.5 * clean + (1 - b) ** 0.5 * answers[0]
    denoise = denoiser(random_unet(), prediction=prediction, scale=scale)
    assert distance(draw("ddim_cfgpp", denoise, steps=10), x) < 1e-3
