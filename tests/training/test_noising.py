"""What the denoiser is asked: the noise levels, the noise and the words of a training step."""

import torch

from training.noising import (
    BLENDED,
    HEAVIER,
    NOISY_FROM,
    OTHERS_WORDS,
    VISIBLE_UNTIL,
    draw_noise,
    draw_timesteps,
    own_share,
)

CPU = torch.device("cpu")


def test_every_noise_level_is_asked_and_the_high_ones_most() -> None:
    torch.manual_seed(1)
    t = draw_timesteps(20_000, CPU)
    assert (int(t.min()), int(t.max())) == (0, 999)
    assert (t >= NOISY_FROM).float().mean() > 0.7
    assert (t < VISIBLE_UNTIL).float().mean() > 0.05
    above = t[t >= NOISY_FROM]
    assert (above > 900).sum() > 1.3 * (above < 700).sum()


def test_noise_is_nearly_white_and_reaches_the_whole_picture() -> None:
    torch.manual_seed(1)
    noise = draw_noise(torch.zeros(200, 4, 16, 16))
    assert 0.95 < float(noise.std()) < 1.1
    white = 1 / 16  # how far the means of pictures of white noise lie apart
    assert noise.mean((2, 3)).std() > 1.5 * white


def test_what_can_be_seen_is_often_worded_as_another_picture() -> None:
    torch.manual_seed(1)
    own = own_share(torch.zeros(2000, dtype=torch.long))
    assert set(own.tolist()) == {0.0, 1.0}
    assert abs(float(own.mean()) - (1 - OTHERS_WORDS)) < 0.05


def test_what_cannot_be_seen_is_worded_as_it_is_or_blended_with_less_of_another() -> None:
    torch.manual_seed(1)
    own = own_share(torch.full((2000,), VISIBLE_UNTIL))
    blended = own[own < 1]
    assert abs(len(blended) / 2000 - BLENDED) < 0.05
    assert HEAVIER[0] <= float(blended.min()) < float(blended.max()) <= HEAVIER[1]
