import itertools

import pytest
import torch

from stable_diffusion.samplers.noise import NoiseSource

SHAPE = (4, 8, 8)
LEVELS = torch.tensor([14.6, 7.0, 3.5, 1.0, 0.1, 0.03])


def test_the_same_seed_gives_the_same_noise_alone_and_in_a_batch():
    alone, batch = NoiseSource([7], SHAPE), NoiseSource([5, 6, 7], SHAPE)
    assert alone.initial()[0].equal(batch.initial()[2])
    for _ in range(3):
        assert alone.step()[0].equal(batch.step()[2])
    single, several = alone.brownian(0.03, 14.6), batch.brownian(0.03, 14.6)
    for high, low in itertools.pairwise(LEVELS):
        assert single(high, low)[0].equal(several(high, low)[2])


def test_the_starting_noise_is_that_of_torch_on_the_cpu():
    expected = torch.randn(SHAPE, generator=torch.Generator().manual_seed(42))
    assert NoiseSource([42], SHAPE).initial()[0].equal(expected)


def test_no_draw_repeats_another():
    source = NoiseSource([7], SHAPE)
    draws = [source.initial(), source.step(), source.step()]
    draws.append(source.brownian(0.03, 14.6)(LEVELS[0], LEVELS[1]))
    flat = torch.stack(draws).flatten(1)
    likeness = torch.corrcoef(flat) - torch.eye(len(draws))
    assert likeness.abs().max() < 0.3


def test_the_brownian_path_is_the_same_every_time():
    def increments() -> list[torch.Tensor]:
        path = NoiseSource([1, 2], SHAPE).brownian(0.03, 14.6)
        return [path(high, low) for high, low in itertools.pairwise(LEVELS)]

    assert all(a.equal(b) for a, b in zip(increments(), increments(), strict=True))


def test_the_brownian_path_does_not_depend_on_where_it_is_asked():
    asked_before = NoiseSource([1], SHAPE).brownian(0.03, 14.6)
    for level in torch.linspace(14, 1, 30):
        asked_before(level, level - 0.5)
    fresh = NoiseSource([1], SHAPE).brownian(0.03, 14.6)
    torch.testing.assert_close(
        asked_before(LEVELS[1], LEVELS[2]), fresh(LEVELS[1], LEVELS[2]), rtol=1e-4, atol=1e-4
    )


def test_a_brownian_step_is_the_sum_of_its_halves():
    path = NoiseSource([1], SHAPE).brownian(0.03, 14.6)
    a, b, c = torch.tensor([10.0, 6.0, 3.0])
    whole = path(a, c) * (a - c).sqrt()
    halves = path(a, b) * (a - b).sqrt() + path(b, c) * (b - c).sqrt()
    torch.testing.assert_close(whole, halves, rtol=1e-4, atol=1e-4)


def test_all_noise_is_standard_normal():
    source = NoiseSource(range(200), SHAPE)
    path = source.brownian(0.03, 14.6)
    steps = [path(high, low) for high, low in itertools.pairwise(LEVELS)]
    for noise in (source.initial(), source.step(), *steps):
        assert noise.mean().item() == pytest.approx(0, abs=0.02)
        assert noise.std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("seed", [0, -1, 2**32, 2**63, 2**64 - 1, 2**80])
def test_any_integer_is_a_seed(seed: int):
    source = NoiseSource([seed], SHAPE)
    path = source.brownian(0.03, 14.6)
    assert torch.isfinite(source.step() + path(LEVELS[0], LEVELS[1])).all()


def test_the_ends_of_the_path_may_be_passed_by_a_rounding_error(
    recwarn: pytest.WarningsRecorder,
):
    path = NoiseSource([1], SHAPE).brownian(0.03, 14.6)
    path(torch.tensor(14.600002), torch.tensor(0.0299999))
    assert not list(recwarn)
