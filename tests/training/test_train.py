"""A short `make train`: it trains, it resumes after a kill, and its model generates pictures."""

import random
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from transformers import CLIPTextModel

from stable_diffusion.families.tiny import TINY, TINY_V2
from stable_diffusion.generate import generate
from stable_diffusion.load_model import load_model
from stable_diffusion.networks import text_states
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.recipe import Recipe
from stable_diffusion.weights.saving import save_checkpoint
from training.captions import Piece
from training.denoiser import Stage
from training.latents import cached_scenes
from training.progress import Budget, IntervalTimer
from training.quick_eval import quick_eval
from training.setup import TrainingSetup, load_trainable
from training.text_distillation import distill_text_encoder
from training.text_encoder import build_text_encoder, warm_up_text_encoder
from training.tokens import CaptionTokens
from training.train import make_model, make_unet

pytestmark = pytest.mark.heavy

CPU = torch.device("cpu")
SHORT = Stage("short", 0.05, 1e-3, {(64, 64): (1.0, 4)})


def setup_in(folder: Path, *stages: Stage) -> TrainingSetup:
    return TrainingSetup(
        folder, CPU, 0.2, TINY, stages=stages, scenes={(64, 64): (16, 1)}, drawings=16
    )


def budget_of(steps: int) -> Budget:
    """A budget that so many steps spend, however long they take."""
    counted = count()
    return Budget("text", steps / 60, clock=lambda: float(next(counted)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    (networks,) = make_model(setup_in(folder, SHORT))
    save_checkpoint(networks, TINY, folder / "made.safetensors")
    return folder


def test_the_trained_model_generates_pictures(trained: Path) -> None:
    model = load_model(trained / "made.safetensors", name="made")
    recipe = Recipe(prompt="a red cat", width=64, height=64, steps=2)
    (picture,) = generate(model, recipe)
    assert picture.image.size == (64, 64)


def test_the_second_model_begins_where_the_first_stopped(trained: Path, tmp_path: Path) -> None:
    base = load_trainable(trained / "made.safetensors", TINY, CPU)
    setup = replace(setup_in(tmp_path, SHORT), family=TINY_V2, base=base, latents=trained)
    begun, given = make_unet(setup).state_dict(), base.unet.state_dict()
    assert torch.equal(begun["conv_in.weight"], given["conv_in.weight"])
    (networks,) = make_model(setup)
    assert networks.vae is base.vae
    save_checkpoint(networks, TINY_V2, tmp_path / "second.safetensors", "v")
    model = load_model(tmp_path / "second.safetensors", name="second")
    assert (model.family, model.prediction) == (TINY_V2, "v")
    (picture,) = generate(model, Recipe(prompt="a red cat", width=64, height=64, steps=2))
    assert picture.image.size == (64, 64)


def test_the_distilled_text_encoder_approaches_its_teacher(trained: Path) -> None:
    base = load_trainable(trained / "made.safetensors", TINY, CPU)
    tokens = CaptionTokens(ClipTokenizer(pad=TINY_V2.pad_token))
    of_base = CaptionTokens(ClipTokenizer())
    text = build_text_encoder(TINY_V2, tokens.known)
    projection = distill_text_encoder(text, tokens, base.text, of_base, budget_of(30), CPU)
    assert projection.shape == (48, 40)
    captions = [[Piece("a red cat on a beach")], [Piece("a blue star and a green tree")]]
    rng = random.Random(1)
    with torch.no_grad():
        target = text_states(base.text, of_base.batch(captions, rng).ids)
        states = text_states(text, tokens.batch(captions, rng).ids) @ projection.T
    error = (states - target).square().mean() / target.var()
    assert error < 0.7  # a constant output has 1


def test_a_unet_with_a_projection_treats_both_text_encoders_alike(trained: Path) -> None:
    base = load_trainable(trained / "made.safetensors", TINY, CPU)
    setup = replace(setup_in(trained, SHORT), family=TINY_V2, base=base)
    projection, states = torch.randn(48, 40), torch.randn(1, 77, 40)
    unet = make_unet(setup, projection)
    name = "mid_block.attentions.0.transformer_blocks.0.attn2"
    for layer in ("to_k", "to_v"):
        result = unet.get_submodule(f"{name}.{layer}")(states)
        expected = base.unet.get_submodule(f"{name}.{layer}")(states @ projection.T)
        torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_the_quick_evaluation_is_a_share(trained: Path) -> None:
    networks = load_trainable(trained / "made.safetensors", TINY, CPU)
    assert 0 <= quick_eval(networks, TINY, 64, 64, seed=1) <= 1


def test_scenes_drawn_by_other_rules_are_drawn_again(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vae = load_trainable(trained / "made.safetensors", TINY, CPU).full_vae
    before = cached_scenes(tmp_path, vae, 4, 1, (64, 64), CPU)
    monkeypatch.setattr("training.scenes.USUAL_SHARE", 1.0)
    monkeypatch.setattr("training.scenes.SCENERY", ("beach",))
    after = cached_scenes(tmp_path, vae, 4, 1, (64, 64), CPU)
    assert before.scenes != after.scenes
    assert not torch.equal(before.latents, after.latents)


def test_the_shipped_file_is_small(trained: Path) -> None:
    assert (trained / "made.safetensors").stat().st_size < 16_000_000


def test_a_killed_training_resumes(trained: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in trained.glob("*.pt")}
    more = Stage("more", 0.05, 1e-3, {(64, 64): (1.0, 4)})
    assert len(list(make_model(setup_in(trained, SHORT, more)))) == 2
    after = {path.name: path.stat().st_mtime_ns for path in trained.glob("*.pt")}
    assert {name: after[name] for name in before} == before
    assert "more.pt" in after
    assert not list(trained.glob("*.partial"))


def test_the_text_encoder_learns_what_captions_say_and_unknown_words_stay_zero() -> None:
    torch.manual_seed(0)
    tokens = CaptionTokens(ClipTokenizer())
    budget = budget_of(5)
    text = build_text_encoder(TINY, tokens.known)
    known = sorted(tokens.known)
    before = embedding_of(text)[known].clone()
    warm_up_text_encoder(text, tokens, budget, CPU)
    assert budget.fraction == 1
    assert 0 < budget.averages["attributes"] <= 1
    unknown = [token for token in range(49408) if token not in tokens.known]
    assert embedding_of(text)[unknown].abs().max() == 0
    assert not embedding_of(text)[known].equal(before)


def embedding_of(text: CLIPTextModel) -> torch.Tensor:
    weight = text.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach()


def test_a_budget_ends_and_its_learning_rate_falls() -> None:
    budget = Budget("phase", 1.0)
    rates = []
    for second in range(61):
        budget.spent = float(second)
        rates.append(budget.learning_rate(1.0))
    assert rates[0] < 0.2
    assert max(rates) == 1
    assert rates[-1] == pytest.approx(budget.floor)
    assert list(Budget("done", 1.0, spent=60.0).steps()) == []


def test_an_interval_timer_is_due_after_each_interval() -> None:
    budget = Budget("phase", 10.0, spent=100.0)
    timer = IntervalTimer(budget, 60.0)
    due: list[float] = []
    for second in range(100, 300):
        budget.spent = float(second)
        if timer.due():
            due.append(budget.spent)
    assert due == [160.0, 220.0, 280.0]
