"""Guidance that is rescaled, and guidance for a part of the sampling."""

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.guidance import rescale
from stable_diffusion.samplers import SAMPLERS
from stable_diffusion.samplers.sampling import evaluations_planned
from tests.stable_diffusion.samplers.toys import (
    EXACT,
    MEAN,
    PLAIN,
    Gaussian,
    denoiser,
    distance,
    draw,
    random_unet,
)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_rescaled_guidance_is_that_of_diffusers(share: float):
    generator = torch.Generator().manual_seed(0)
    guided, positive = (torch.randn(2, 4, 8, 8, generator=generator) * s for s in (3, 1))
    theirs = rescale_noise_cfg(guided, positive, share)
    torch.testing.assert_close(rescale(guided, positive, share), theirs)


@pytest.mark.parametrize("key", PLAIN)
def test_rescaling_changes_the_picture_of_every_sampler(key: str):
    plain = draw(key, denoiser(random_unet(), scale=30.0), seeds=(1,), steps=2)
    rescaled = draw(
        key, denoiser(random_unet(), scale=30.0, guidance_rescale=0.7), seeds=(1,), steps=2
    )
    assert distance(rescaled, plain) > 1e-3


@pytest.mark.parametrize("key", PLAIN)
def test_without_guidance_the_negative_prompt_is_never_evaluated(key: str):
    never = draw(key, denoiser(Gaussian(), scale=7.5, guidance_end=0.0), steps=4)
    same = "ddim" if key == "ddim_cfgpp" else key
    assert never.equal(draw(same, denoiser(Gaussian(), scale=1.0), steps=4))


@pytest.mark.parametrize(("start", "end"), [(0.0, 1.0), (0.25, 0.75), (0.0, 0.5), (0.5, 1.0)])
@pytest.mark.parametrize("key", [key for key in PLAIN if key in EXACT])
def test_the_rows_saved_are_those_outside_the_interval(key: str, start: float, end: float):
    rows: list[int] = []
    gaussian = Gaussian()

    def network(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        rows.append(len(x))
        return gaussian(x, timesteps, conditioning)

    denoise = denoiser(network, scale=7.5, guidance_start=start, guidance_end=end)
    draw(key, denoise, seeds=(1,), steps=8)
    planned = evaluations_planned(SAMPLERS[key], 8)
    assert rows == [2 if start <= n / planned < end else 1 for n in range(planned)]


def test_an_adaptive_sampler_is_guided_by_the_noise_level():
    rows: list[tuple[int, float]] = []
    gaussian = Gaussian()

    def network(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        rows.append((len(x), timesteps[0].item()))
        return gaussian(x, timesteps, conditioning)

    denoise = denoiser(network, scale=3.0, guidance_start=0.2, guidance_end=0.8)
    draw("k_dpm_ad", denoise, seeds=(1, 2), steps=10, image=MEAN[None])
    guided = [timestep for count, timestep in rows if count == 2]
    alone = [timestep for count, timestep in rows if count == 1]
    assert guided
    assert all(111 <= timestep <= 778 for timestep in guided)
    assert not any(112 < timestep < 776 for timestep in alone)
