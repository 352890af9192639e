"""Training of a model with two text encoders, from a trained one with one."""

import random
from pathlib import Path

import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel

from stable_diffusion.families.tiny import TINY, TINY_XL
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.networks import Networks, text_states
from stable_diffusion.projected_text import penultimate_states
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.recipe import Recipe
from stable_diffusion.tiny import PATH
from stable_diffusion.weights.saving import save_checkpoint
from training.captions import Piece
from training.denoiser import Stage
from training.text_slicing import slice_text_encoder
from training.tokens import CaptionTokens
from training.train import TrainingSetup, load_trainable, make_model
from training.two_encoders import build_two_encoders, mixed_conditioning, padding_of

CPU = torch.device("cpu")
CAPTIONS = [[Piece("a red cat on a beach")], [Piece("a blue star and a green tree")], []]


@pytest.fixture(scope="module")
def base() -> Networks:
    return load_trainable(PATH, TINY, CPU)


@pytest.fixture(scope="module")
def ids() -> torch.Tensor:
    return CaptionTokens(ClipTokenizer()).batch(CAPTIONS, random.Random(1)).ids


@pytest.mark.parametrize(("width", "error"), [(48, 0.01), (36, 0.2)])
def test_a_sliced_text_encoder_begins_with_the_states_of_the_trained_one(
    base: Networks, ids: torch.Tensor, width: int, error: float
) -> None:
    shape = {**base.text.config.to_dict(), "hidden_size": width, "num_hidden_layers": 5}
    student = CLIPTextModel(CLIPTextConfig(**shape))
    projection = slice_text_encoder(student, base.text, ids)
    with torch.no_grad():
        wanted = text_states(base.text, ids)
        states = penultimate_states(student, ids) @ projection.T
    assert (states - wanted).square().mean() < error * wanted.var()


def test_the_conditioning_of_both_encoders_has_the_sizes_of_the_pictures(ids: torch.Tensor) -> None:
    both = build_two_encoders(TINY_XL, padding_of(TINY_XL))
    latents = torch.zeros(3, 4, 8, 16)
    with torch.no_grad():
        row = mixed_conditioning(both, latents, ids, torch.ones(3, 77), torch.ones(3, 1, 1))
    assert row.context.shape == (3, 77, TINY_XL.part("unet").config["cross_attention_dim"])
    assert row.pooled is not None
    assert row.pooled.shape == (3, 36)
    assert row.time_ids is not None
    assert row.time_ids[:, 4:].tolist() == [[64, 128]] * 3


def test_the_model_is_taught_by_the_one_it_begins_with(base: Networks, tmp_path: Path) -> None:
    stage = Stage("short", 0.02, 1e-4, {(64, 64): (1.0, 2)})
    setup = TrainingSetup(
        tmp_path, CPU, 0.5, TINY_XL, (stage,), base=base, scenes={(64, 64): (4, 1)}
    )
    (networks,) = make_model(setup)
    save_checkpoint(networks, TINY_XL, tmp_path / "made.safetensors")
    assert (tmp_path / "made.safetensors").stat().st_size <= 16_000_000
    model = load_model(tmp_path / "made.safetensors", name="made")
    assert model.family is TINY_XL
    (picture,) = generate(model, Recipe(prompt="a red cat", width=64, height=64, steps=2))
    assert picture.image.size == (64, 64)
