"""Every evaluation knows its place in the sampling."""

import pytest

from stable_diffusion.samplers import SAMPLERS
from stable_diffusion.samplers.estimate import Estimate
from stable_diffusion.samplers.position import Position
from tests.stable_diffusion.samplers.toys import EXACT, MEAN, Gaussian, denoiser, draw

ONCE = [key for key in EXACT if SAMPLERS[key].row.evaluations(10) == 10]
TWICE = [key for key in EXACT if SAMPLERS[key].row.evaluations(10) == 19]


def positions(key: str, steps: int, strength: float = 1.0) -> list[Position]:
    seen: list[Position] = []

    def note(_estimate: Estimate) -> None:
        seen.append(denoise.position)

    denoise = denoiser(Gaussian(), on_evaluation=note)
    draw(key, denoise, seeds=(1,), steps=steps, image=MEAN[None], strength=strength)
    return seen


@pytest.mark.parametrize("key", ONCE)
def test_one_evaluation_a_step(key: str):
    assert [position.step for position in positions(key, 10)] == list(range(10))


@pytest.mark.parametrize("key", TWICE)
def test_two_evaluations_a_step_have_one_step(key: str):
    assert [position.step for position in positions(key, 10)] == [n // 2 for n in range(19)]


def test_the_trial_of_plms_belongs_to_the_first_step():
    assert [position.step for position in positions("plms", 5)] == [0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("key", [*EXACT, "k_dpm_ad"])
def test_shares_grow_from_0_and_stay_below_1(key: str):
    for steps in (1, 2, 7, 20):
        shares = [position.share for position in positions(key, steps)]
        assert shares[0] == 0
        assert max(shares) < 1
        if key in EXACT:
            assert shares == sorted(shares)
            assert len(set(shares)) == len(shares)


def test_an_image_to_image_job_counts_the_steps_it_executes():
    seen = positions("k_euler", 20, strength=0.5)
    assert [(position.step, position.steps) for position in seen] == [(n, 10) for n in range(10)]


def test_a_sampler_with_a_number_of_its_own_is_placed_by_its_noise():
    seen = [position.step for position in positions("k_dpm_ad", 10)]
    assert seen[0] == 0
    assert seen[-1] == 9
    assert set(seen) == set(range(10))
