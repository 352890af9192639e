"""Stable Diffusion XL: what prompts, blends, sizes and embeddings become."""

from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.families import with_more_encoders
from stable_diffusion.load_model import build_model
from stable_diffusion.model import Model
from stable_diffusion.prompt.conditioning import encode_prompts
from stable_diffusion.textual_inversion import (
    columns_for,
    embedding_width,
    read_embedding,
    text_widths,
    with_embeddings,
)
from stable_diffusion.weights.reading import Weights
from tests.stable_diffusion.layouts import random_networks
from tests.stable_diffusion.small_xl import SMALL, SMALL_REFINER

WIDTH, HEIGHT = 64, 96


@pytest.fixture(scope="module")
def base() -> Model:
    weights = Weights(SMALL, random_networks(SMALL), "epsilon")
    return build_model(weights, Path("base"), name="base", fingerprint="0")


def test_a_prompt_means_the_same_to_both_encoders(base: Model) -> None:
    """Weights act on each by itself; the pooled text is of the first chunk, without weights."""
    text = "a (red:1.4) circle"
    ((_, row),) = base.encode_prompts(f"{text} BREAK on sand", "", (WIDTH, HEIGHT))[0].at(0)
    assert row.pooled is not None
    assert row.context.shape == (1, 2 * 77, 56)
    parts = [
        encode_prompts((text,), base.tokenizer, partial(base.encode_text, encoder=name))[0].context
        for name in ("text", "text_2")
    ]
    assert torch.equal(row.context[:, :77], torch.cat(parts, -1))
    ((_, plain),) = base.encode_prompts("a red circle", "", (WIDTH, HEIGHT))[0].at(0)
    assert plain.pooled is not None
    assert torch.equal(row.pooled, plain.pooled)
    assert not torch.equal(row.context[:, :77], plain.context)


def test_a_blend_blends_the_pooled_texts_too(base: Model) -> None:
    def pooled(prompt: str) -> Tensor:
        ((_, row),) = base.encode_prompts(prompt, "", (WIDTH, HEIGHT))[0].at(0)
        assert row.pooled is not None
        return row.pooled

    mixed = 0.25 * pooled("a cat") + 0.75 * pooled("a dog")
    torch.testing.assert_close(pooled("a cat:0.25 a dog:0.75"), mixed)


def test_the_sizes_are_those_of_the_picture(base: Model) -> None:
    positive, negative = base.encode_prompts("a", "b", (WIDTH, HEIGHT))
    for row in (positive.at(0)[0][1], negative.at(0)):
        assert row.time_ids is not None
        assert row.time_ids.tolist() == [[HEIGHT, WIDTH, 0, 0, HEIGHT, WIDTH]]


def test_an_embedding_has_columns_for_each_encoder(base: Model, tmp_path: Path) -> None:
    def encoded(first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
        path = tmp_path / "mark.safetensors"
        save_file({"clip_l": first, "clip_g": second}, path)
        vectors = read_embedding(path)
        assert vectors.shape == (2, embedding_width(base)) == (2, 56)
        model = with_embeddings(base, {"mark": vectors})
        ((_, row),) = model.encode_prompts("a mark", "", (WIDTH, HEIGHT))[0].at(0)
        assert row.pooled is not None
        return row.context[..., :32], row.context[..., 32:], row.pooled

    first, second = torch.ones(2, 32), torch.ones(2, 24)
    both, only_first, only_second = (
        encoded(*vectors) for vectors in ((first, second), (-first, second), (first, -second))
    )
    assert [torch.equal(*pair) for pair in zip(both, only_first, strict=True)] == [
        False,
        True,
        True,
    ]
    assert [torch.equal(*pair) for pair in zip(both, only_second, strict=True)] == [
        True,
        False,
        False,
    ]


def test_a_refiner_gets_the_columns_of_its_own_encoder(base: Model) -> None:
    weights = Weights(SMALL_REFINER, random_networks(SMALL_REFINER), "epsilon")
    refiner = build_model(weights, Path("refiner"), name="refiner", fingerprint="0")
    vectors = torch.randn(2, 56)
    encoders = text_widths(base)
    assert torch.equal(columns_for(refiner, encoders, vectors), vectors[:, 32:])
    assert torch.equal(columns_for(base, encoders, vectors), vectors)
    other = torch.randn(2, 48)
    assert columns_for(refiner, encoders, other) is other


@pytest.mark.parametrize(
    ("own", "others"),
    [
        ({"text_2": 1280}, [{"text": 768, "text_2": 1280}]),
        ({"text": 1024}, []),
        ({"text": 768, "text_2": 1280}, []),
    ],
    ids=["sdxl-refiner", "sd2", "sdxl"],
)
def test_a_refiner_used_alone_finds_the_encoders_that_an_embedding_was_made_for(
    own: dict[str, int], others: list[dict[str, int]]
) -> None:
    found = with_more_encoders(own)
    assert [*map(dict, dict.fromkeys(tuple(each.items()) for each in found))] == others
