"""The teacher of a distillation from noise prediction to v-prediction."""

import random

import pytest
import torch

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.families.tiny import TINY, TINY_V2
from stable_diffusion.networks import Networks, unet_prediction
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.samplers.schedule import NoiseSchedule
from tests.stable_diffusion.layouts import random_networks
from training.captions import Piece
from training.teacher import Teacher, mixed_text_states
from training.tokens import CaptionTokens, TokenBatch

CAPTIONS = [[Piece("a red cat on a beach!")], [Piece("a blue star", weight=1.5)]]
OWN = torch.ones(2, 1, 1)


def batch_of(pad: int) -> TokenBatch:
    return CaptionTokens(ClipTokenizer(pad=pad)).batch(CAPTIONS, random.Random(1))


@pytest.fixture(scope="module")
def networks() -> Networks:
    return random_networks(TINY)


def test_its_v_and_its_noise_give_the_same_picture(networks: Networks) -> None:
    teacher = Teacher(networks.unet, networks.text, ClipTokenizer())
    mine = batch_of(TINY.pad_token)
    t = torch.tensor([50, 950])
    alpha = NoiseSchedule().alphas_cumprod.float()[t].view(-1, 1, 1, 1)
    noised = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        hidden = mixed_text_states(networks.text, mine.ids, mine.weights, OWN)
        noise = unet_prediction(networks.unet, noised, t, Conditioning(hidden))
    v = teacher.velocity(noised, t, alpha, mine.ids, mine.weights, OWN)
    by_noise = (noised - (1 - alpha).sqrt() * noise) / alpha.sqrt()
    by_v = alpha.sqrt() * noised - (1 - alpha).sqrt() * v
    torch.testing.assert_close(by_v, by_noise, rtol=1e-3, atol=1e-3)


def test_it_reads_captions_with_its_own_padding(networks: Networks) -> None:
    teacher = Teacher(networks.unet, networks.text, ClipTokenizer())
    own, students = batch_of(TINY.pad_token), batch_of(TINY_V2.pad_token)
    assert not torch.equal(own.ids, students.ids)
    t, alpha, noised = (
        torch.tensor([500, 500]),
        torch.full((2, 1, 1, 1), 0.5),
        torch.ones(2, 4, 8, 8),
    )
    targets = [
        teacher.velocity(noised, t, alpha, batch.ids, batch.weights, OWN)
        for batch in (own, students)
    ]
    torch.testing.assert_close(*targets)


def test_captions_are_mixed_by_their_shares(networks: Networks) -> None:
    batch = batch_of(TINY.pad_token)
    with torch.no_grad():
        whole = mixed_text_states(networks.text, batch.ids, batch.weights, OWN)
        mixed = mixed_text_states(networks.text, batch.ids, batch.weights, 0.75 * OWN)
    torch.testing.assert_close(mixed[0], 0.75 * whole[0] + 0.25 * whole[1])
