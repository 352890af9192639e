"""`make train`, cut short: it learns, it can be killed, and it leaves a model that draws."""

from pathlib import Path

import pytest
import torch

from stable_diffusion.checkpoint import save_checkpoint
from stable_diffusion.generate import generate
from stable_diffusion.model import load_model
from stable_diffusion.prompt.tokenizer import ClipTokenizer
from stable_diffusion.recipe import Recipe
from stable_diffusion.variants import TINY
from training.denoiser import Lesson
from training.progress import Budget
from training.text_encoder import build_text_encoder, warm_up_text_encoder
from training.tokens import CaptionTokens
from training.train import Workshop, make_model

CPU = torch.device("cpu")
SHORT = Lesson("short", 0.05, 1e-3, {(64, 64): (1.0, 4)})


def workshop(folder: Path, *lessons: Lesson) -> Workshop:
    return Workshop(
        folder, CPU, 0.5, TINY, lessons=lessons, scenes={(64, 64): (16, 1)}, drawings=16
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    (networks,) = make_model(workshop(folder, SHORT))
    save_checkpoint(networks, TINY, folder / "made.safetensors")
    return folder


def test_the_model_that_training_leaves_can_draw(trained: Path) -> None:
    model = load_model(trained / "made.safetensors", name="made")
    recipe = Recipe(prompt="a red cat", width=64, height=64, steps=2)
    (picture,) = generate(model, recipe)
    assert picture.image.size == (64, 64)


def test_the_shipped_file_is_small(trained: Path) -> None:
    assert (trained / "made.safetensors").stat().st_size < 16_000_000


def test_a_training_that_was_killed_goes_on_where_it_stopped(trained: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in trained.glob("*.pt")}
    more = Lesson("more", 0.05, 1e-3, {(64, 64): (1.0, 4)})
    assert len(list(make_model(workshop(trained, SHORT, more)))) == 2
    after = {path.name: path.stat().st_mtime_ns for path in trained.glob("*.pt")}
    assert {name: after[name] for name in before} == before
    assert "more.pt" in after
    assert not list(trained.glob("*.partial"))


def test_words_that_were_never_taught_stay_silent() -> None:
    tokens = CaptionTokens(ClipTokenizer())
    text = build_text_encoder(TINY, tokens.known)
    warm_up_text_encoder(text, tokens, Budget("text", 0.05), CPU)
    embedding = text.get_input_embeddings().weight
    assert isinstance(embedding, torch.Tensor)
    silent = [token for token in range(49408) if token not in tokens.known]
    assert embedding[silent].abs().max() == 0
    assert embedding[sorted(tokens.known)].abs().max() > 0


def test_the_text_encoder_learns_what_captions_say() -> None:
    torch.manual_seed(0)
    tokens = CaptionTokens(ClipTokenizer())
    budget = Budget("text", 0.2)
    text = build_text_encoder(TINY, tokens.known)
    warm_up_text_encoder(text, tokens, budget, CPU)
    assert budget.fraction == 1
    assert 0 < budget.figures["attributes"] <= 1


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
