"""The noise levels, the noise and the caption mix of training steps."""

import torch

from training.noising import (
    BLENDED,
    HEAVIER,
    NOISY_FROM,
    OTHER_CAPTION,
    VISIBLE_UNTIL,
    own_caption_share,
    sample_noise,
    sample_timesteps,
)

CPU = torch.device("cpu")


def test_every_noise_level_is_sampled_and_high_ones_most_often() -> None:
    torch.manual_seed(1)
    t = sample_timesteps(20_000, CPU)
    assert (int(t.min()), int(t.max())) == (0, 999)
    assert (t >= NOISY_FROM).float().mean() > 0.7
    assert (t < VISIBLE_UNTIL).float().mean() > 0.05
    above = t[t >= NOISY_FROM]
    assert (above > 900).sum() > 1.3 * (above < 700).sum()


def test_noise_is_nearly_white_and_reaches_the_whole_picture() -> None:
    torch.manual_seed(1)
    noise = sample_noise(torch.zeros(200, 4, 16, 16))
    assert 0.95 < float(noise.std()) < 1.1
    white = 1 / 16  # standard deviation of the means of white noise
    assert noise.mean((2, 3)).std() > 1.5 * white


def test_at_low_noise_levels_captions_are_often_another_picture_s() -> None:
    torch.manual_seed(1)
    own = own_caption_share(torch.zeros(2000, dtype=torch.long))
    assert set(own.tolist()) == {0.0, 1.0}
    assert abs(float(own.mean()) - (1 - OTHER_CAPTION)) < 0.05


def test_at_other_noise_levels_captions_are_the_own_or_blended() -> None:
    torch.manual_seed(1)
    own = own_caption_share(torch.full((2000,), VISIBLE_UNTIL))
    blended = own[own < 1]
    assert abs(len(blended) / 2000 - BLENDED) < 0.05
    assert HEAVIER[0] <= float(blended.min()) < float(blended.max()) <= HEAVIER[1]
