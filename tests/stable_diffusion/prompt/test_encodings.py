"""A prompt that was encoded before is not encoded again, and nobody can tell but by the clock."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion import networks as engine_networks
from stable_diffusion.generate import generate
from stable_diffusion.lora import read_lora, with_loras
from stable_diffusion.model import Model
from stable_diffusion.prompt.text_encoding_cache import TextEncodingCache
from stable_diffusion.recipe import Recipe
from stable_diffusion.textual_inversion import with_embeddings

SMALL = Recipe(prompt="a red circle", width=64, height=64, steps=1)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every row that a text encoder was asked for."""
    rows: list[Any] = []
    real = engine_networks.text_states

    def counted(text: Any, ids: Tensor, clip_skip: int = 1) -> Tensor:
        rows.append(ids)
        return real(text, ids, clip_skip)

    monkeypatch.setattr(engine_networks, "text_states", counted)
    return rows


@pytest.fixture
def fresh(tiny: Model) -> Model:
    """The tiny model, before anybody asked it anything."""
    return replace(tiny, text_encodings=TextEncodingCache())


def drawn(model: Model, **changes: Any) -> bytes:
    return next(generate(model, replace(SMALL, **changes))).image.tobytes()


def test_a_prompt_is_encoded_once(fresh: Model, encoded: list[Any]) -> None:
    pictures = {drawn(fresh) for _ in range(3)}
    assert len(encoded) == 2  # the prompt and the empty negative one
    assert len(pictures) == 1


def test_the_empty_negative_prompt_is_never_encoded_twice(fresh: Model, encoded: list[Any]) -> None:
    for colour in ("red", "green", "blue"):
        drawn(fresh, prompt=f"a {colour} circle")
    assert len(encoded) == 1 + 3


def test_emphasis_needs_no_new_encoding_and_still_counts(fresh: Model, encoded: list[Any]) -> None:
    plain, strong = drawn(fresh), drawn(fresh, prompt="a red (circle:1.8)")
    assert plain != strong
    assert len(encoded) == 2


def test_the_optimized_plan_knows_what_standard_has_encoded(
    fresh: Model, encoded: list[Any]
) -> None:
    assert drawn(fresh) == drawn(fresh, memory_plan="optimized")
    assert len(encoded) == 2


def test_another_text_encoder_is_asked_anew(fresh: Model, tmp_path: Path) -> None:
    width = fresh.family.context_width
    plain = drawn(fresh, prompt="a mark")
    for value in (0.5, -0.5):
        marked = with_embeddings(fresh, {"mark": torch.full((1, width), value)})
        assert drawn(marked, prompt="a mark") != plain
    layer = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
    size = fresh.networks.text.config.hidden_size
    lora = tmp_path / "lora.safetensors"
    halves = {"lora_down.weight": torch.ones(1, size), "lora_up.weight": torch.ones(size, 1)}
    save_file({f"{layer}.{name}": tensor for name, tensor in halves.items()}, lora)
    assert drawn(with_loras(fresh, [(read_lora(lora), 1.0)]), prompt="a mark") != plain
    assert drawn(fresh, prompt="a mark") == plain


def test_the_oldest_is_forgotten_first() -> None:
    asked: list[int] = []

    def encode(row: Tensor) -> tuple[Tensor, ...]:
        asked.append(int(row[0, 0]))
        return (row[..., None].float(),)

    text_encodings = TextEncodingCache(max_chunks=2)
    for number in (1, 2, 1, 3, 1, 2):
        (found,) = text_encodings.of(torch.full((1, 77), number), encode)
        assert torch.equal(found, torch.full((1, 77, 1), float(number)))
    assert asked == [1, 2, 3, 2]


def test_many_rows_come_in_their_order() -> None:
    ids = torch.arange(3)[:, None].expand(3, 77)
    states, pooled = TextEncodingCache().of(ids, lambda row: (row[..., None], row[:, 0]))
    assert torch.equal(states[..., 0], ids)
    assert torch.equal(pooled, ids[:, 0])
