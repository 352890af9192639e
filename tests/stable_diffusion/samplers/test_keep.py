"""What a mask keeps, in every sampler, and how much grey may change."""

import pytest
import torch
from torch import Tensor

from stable_diffusion.families.family import Prediction
from stable_diffusion.samplers import SAMPLERS
from stable_diffusion.samplers.keep import Keep
from stable_diffusion.samplers.sampling import executed_steps, step_timesteps
from tests.stable_diffusion.samplers.toys import (
    EXACT,
    SCHEDULE,
    SHAPE,
    WITH_V,
    Gaussian,
    denoiser,
    distance,
    draw,
)

STEPS = 12
IMAGE = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(5))
HALF = torch.zeros(SHAPE[1:])
HALF[:, 4:] = 1


def timesteps(key: str, steps: int = STEPS, strength: float = 1.0) -> list[float]:
    return step_timesteps(SAMPLERS[key], SCHEDULE, steps, executed_steps(steps, strength))


@pytest.mark.parametrize(("key", "prediction"), WITH_V)
def test_the_masked_part_is_sampled_as_ever_and_the_rest_is_the_image(
    key: str, prediction: Prediction
) -> None:
    """The pixels of this model are independent, so nothing else changes."""
    network = Gaussian(prediction)
    for image, strength in ((IMAGE, 0.5), (None, 1.0)):
        keep = Keep(IMAGE, HALF, timesteps(key, strength=strength))
        options = {"steps": STEPS, "image": image, "strength": strength}
        masked = draw(key, denoiser(network, prediction=prediction, changes=(keep,)), **options)
        # some samplers leave the noise of the smallest level
        kept = masked[..., :4] - IMAGE[..., :4]
        assert kept.abs().max() < 0.2, key
        if key in EXACT:  # the others choose their steps by the error of the whole picture
            plain = draw(key, denoiser(network, prediction=prediction), **options)
            assert distance(masked[..., 4:], plain[..., 4:]) < 1e-4, key


def kept_steps(key: str, values: list[float], steps: int, **options: bool) -> list[list[int]]:
    """For each value of a mask, the steps in which it is put back."""
    mask = torch.tensor([values])
    keep = Keep(torch.zeros(1, 1, 1, len(values)), mask, timesteps(key, steps), **options)
    found: list[list[int]] = [[] for _ in values]

    def record(estimate: object) -> None:
        step = keep.step(float(estimate.level.timestep[0]))  # type: ignore[attr-defined]
        for value, seen in enumerate(found):
            if keep.kept(step)[0, value] and step not in seen:
                seen.append(step)

    draw(key, denoiser(Gaussian(), on_evaluation=record), steps=steps)
    return found


@pytest.mark.parametrize("key", ["ddim", "k_euler", "k_dpmpp_2m_ka", "k_euler_a"])
def test_grey_is_put_back_in_the_first_steps_by_its_value(key: str) -> None:
    """As in diffusers' pipeline: before step i + 1 what is darker than 1 − (i + 1)/steps is."""
    steps = 10
    values = [0.0, 0.05, 0.25, 0.5 + 1e-6, 0.75, 0.95, 1.0]
    expected = [
        [
            step
            for step in range(steps)
            if value == 0 or (step + 1 < steps and 1 - value > (step + 1) / steps)
        ]
        for value in values
    ]
    assert kept_steps(key, values, steps) == expected
    soft = kept_steps(key, values, steps, soft_only=True)
    assert soft == [[], *expected[1:]]


def test_the_steps_are_found_by_the_noise_level() -> None:
    levels = timesteps("k_heun", 5)
    assert len(levels) == 5
    keep = Keep(IMAGE, HALF, levels)
    assert [keep.step(level) for level in levels] == list(range(5))
    assert [keep.step(level - 1) for level in levels] == list(range(5))
    assert keep.step(0.0) == 4


def test_a_change_leaves_what_is_not_kept_as_it_is() -> None:
    seen: list[Tensor] = []
    keep = Keep(IMAGE, torch.ones(SHAPE[1:]), timesteps("ddim"))
    plain = draw("ddim", denoiser(Gaussian()), steps=STEPS)
    white = draw(
        "ddim",
        denoiser(Gaussian(), changes=(keep,), on_evaluation=lambda e: seen.append(e.denoised())),
        steps=STEPS,
    )
    assert white.equal(plain)
    assert len(seen) == STEPS
