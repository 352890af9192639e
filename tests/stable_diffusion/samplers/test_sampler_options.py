"""`eta`, `s_churn`, `s_tmin`, `s_tmax` and `s_noise`, for the samplers that take them."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from stable_diffusion.samplers import SAMPLERS, k_diffusion
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.sampler import SamplerOptions
from stable_diffusion.samplers.sampling import sample
from tests.stable_diffusion.samplers.toys import (
    MEAN,
    PLAIN,
    SCHEDULE,
    SHAPE,
    Gaussian,
    denoiser,
    distance,
    draw,
    random_unet,
)

OPTIONS = {"eta": 0.5, "s_churn": 8.0, "s_tmin": 0.5, "s_tmax": 5.0, "s_noise": 0.9}
CHURNING = [key for key in PLAIN if "s_churn" in SAMPLERS[key].row.takes]


def taking(option: str) -> list[str]:
    return [key for key in PLAIN if option in SAMPLERS[key].row.takes]


def drawn(key: str, **options: float) -> Tensor:
    more: dict[str, Any] = options
    return draw(key, denoiser(Gaussian()), steps=20 if key == "restart" else 6, **more)


@pytest.mark.parametrize("option", OPTIONS)
def test_the_samplers_of_the_table_take_the_option(option: str):
    for key in taking(option):
        # the bounds and the scale act where there is noise
        base = {"s_churn": 8.0} if option in ("s_tmin", "s_tmax", "s_noise") else {}
        base |= {"eta": 0.9} if option == "s_noise" and "dpm_" in key else {}
        assert not drawn(key, **base, **{option: OPTIONS[option]}).equal(drawn(key, **base)), key


@pytest.mark.parametrize("key", PLAIN)
def test_no_other_option_changes_the_picture(key: str):
    others = {name: value for name, value in OPTIONS.items() if name not in SAMPLERS[key].row.takes}
    assert drawn(key, **others).equal(drawn(key))


def test_the_table_has_the_arguments_of_k_diffusion():
    for key, sampler in SAMPLERS.items():
        function = getattr(k_diffusion.sampling(), f"sample_{sampler.row.function}", None)
        if function:
            accepted = set(inspect.signature(function).parameters) & set(OPTIONS)
            assert accepted == set(sampler.row.takes) - {"scheduler"}, key


@pytest.mark.parametrize("key", taking("eta"))
def test_eta_0_is_deterministic(key: str):
    start = NoiseSource((1,), SHAPE).initial()

    def from_the_same_start(seed: int) -> Tensor:
        source = NoiseSource((seed,), SHAPE)
        options = SamplerOptions(eta=0.0)
        return sample(
            SAMPLERS[key],
            denoiser(Gaussian()),
            source,
            steps=8,
            options=options,
            initial_noise=start,
        )

    assert from_the_same_start(1).equal(from_the_same_start(2))


@pytest.mark.parametrize("key", taking("eta"))
def test_eta_1_is_what_ancestral_and_sde_samplers_do(key: str):
    own = 0.0 if "ddim" in key or "dpm_fast" in key or "dpm_ad" in key else 1.0
    own = 0.3 if key == "tcd" else own
    plain = draw(key, denoiser(Gaussian()), steps=6)
    assert draw(key, denoiser(Gaussian()), steps=6, eta=own).equal(plain)


@pytest.mark.parametrize("key", taking("eta"))
def test_a_single_step_from_the_smallest_level_keeps_the_image(key: str):
    kept = draw(key, denoiser(Gaussian()), steps=50, image=MEAN[None], strength=0.02, eta=1.0)
    assert distance(kept, MEAN.expand_as(kept)) < 0.4


@pytest.mark.parametrize("key", [*CHURNING, "k_dpm_fast", "k_dpm_ad", "restart"])
def test_a_picture_is_the_same_alone_and_in_a_batch(key: str):
    given = {"eta": 0.7, "s_churn": 10.0}
    options: dict[str, Any] = {n: v for n, v in given.items() if n in SAMPLERS[key].row.takes}
    batch = draw(key, denoiser(Gaussian(), scale=3.0), seeds=(5, 6, 7), steps=21, **options)
    for place, seed in enumerate((5, 6, 7)):
        alone = draw(key, denoiser(Gaussian(), scale=3.0), seeds=(seed,), steps=21, **options)
        torch.testing.assert_close(batch[place], alone[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("key", CHURNING)
def test_churn_is_k_diffusions_with_the_noise_of_the_picture(key: str):
    """Their function over the same levels, with its calls of `randn_like` answered in order."""
    source = NoiseSource((1, 2), SHAPE)
    sampler = SAMPLERS[key]
    levels = sampler.spacing(SCHEDULE, 10)
    function = getattr(k_diffusion.sampling(), f"sample_{sampler.row.function}")
    x = levels[0] * source.initial()
    with k_diffusion.drawing(lambda _x: source.step()):
        expected = function(
            denoiser(random_unet()), x, levels, s_churn=6.0, s_noise=1.1, disable=True
        )
    drawn = draw(key, denoiser(random_unet()), steps=10, s_churn=6.0, s_noise=1.1)
    assert distance(drawn, expected) < 1e-4
    assert distance(drawn, draw(key, denoiser(random_unet()), steps=10)) > 0.01
