"""The noise of variations and of resized seeds, against AUTOMATIC1111's rules on small noises."""

import math

import pytest
import torch
from torch import Tensor

from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.variation import Variation, slerp

SHAPE = (4, 6, 8)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape or SHAPE, generator=torch.Generator().manual_seed(seed))


def initial(*seeds: int, shape: tuple[int, int, int] = SHAPE, **variation: object) -> Tensor:
    return NoiseSource(seeds, shape, Variation(**variation)).initial()  # type: ignore[arg-type]


def column_by_column(low: Tensor, high: Tensor, share: float) -> Tensor:
    """Each column of each channel by itself, with Python's numbers."""
    result = torch.empty_like(low)
    for channel in range(low.shape[0]):
        for column in range(low.shape[2]):
            a, b = low[channel, :, column].double(), high[channel, :, column].double()
            angle = math.acos((a @ b / (a.norm() * b.norm())).item())
            first = math.sin((1 - share) * angle) / math.sin(angle)
            second = math.sin(share * angle) / math.sin(angle)
            result[channel, :, column] = (first * a + second * b).float()
    return result


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_variation_is_between_the_noises_of_both_seeds(share: float):
    expected = column_by_column(drawn(1), drawn(7), share)
    torch.testing.assert_close(initial(1, seed=7, strength=share)[0], expected)


def test_the_ends_are_the_two_seeds():
    torch.testing.assert_close(initial(1, seed=7, strength=1.0)[0], drawn(7))
    assert initial(1, seed=7, strength=0.0)[0].equal(drawn(1))


def test_a_variation_of_a_seed_by_itself_changes_nothing():
    torch.testing.assert_close(initial(3, seed=3, strength=0.4)[0], drawn(3))
    assert slerp(drawn(3), drawn(3), 0.4).isfinite().all()


def test_the_pictures_of_a_batch_are_the_same_alone():
    batch = NoiseSource((5, 5, 5), SHAPE, Variation(10, 0.3))
    for place in range(3):
        alone = NoiseSource((5,), SHAPE, Variation(10, 0.3), first=place)
        assert batch.initial()[place].equal(alone.initial()[0])
    assert not batch.initial()[0].equal(batch.initial()[1])


def test_the_noise_of_the_steps_is_that_of_the_seed():
    varied, plain = NoiseSource((5,), SHAPE, Variation(10, 0.3)), NoiseSource((5,), SHAPE)
    assert varied.step().equal(plain.step())


def test_a_smaller_noise_stands_in_the_middle():
    noise = initial(4, size=(4, 4))[0]
    assert noise[:, 1:5, 2:6].equal(drawn(4, 4, 4, 4))
    rest = noise.clone()
    rest[:, 1:5, 2:6] = drawn(4)[:, 1:5, 2:6]
    assert rest.equal(drawn(4))


def test_the_middle_of_a_larger_noise_is_cut_out():
    noise = initial(4, size=(10, 12))[0]
    assert noise.equal(drawn(4, 4, 10, 12)[:, 2:8, 2:10])


def test_one_side_may_grow_while_the_other_shrinks():
    noise = initial(4, size=(10, 4))[0]
    assert noise[:, :, 2:6].equal(drawn(4, 4, 10, 4)[:, 2:8, :])
    assert noise[:, :, :2].equal(drawn(4)[:, :, :2])


def test_a_resized_seed_can_be_varied():
    noise = initial(4, seed=9, strength=0.5, size=(4, 4))[0]
    expected = column_by_column(drawn(4, 4, 4, 4), drawn(9, 4, 4, 4), 0.5)
    torch.testing.assert_close(noise[:, 1:5, 2:6], expected)
