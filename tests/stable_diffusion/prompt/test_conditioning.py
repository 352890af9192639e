import json
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.conditioning import (
    apply_weights,
    encode_prompts,
    explain,
)
from stable_diffusion.prompt.tokenizer import ClipTokenizer

WIDTH = 8


@pytest.fixture(scope="module")
def tokenizer() -> ClipTokenizer:
    return ClipTokenizer()


def encoder(ids: Tensor) -> Tensor:
    """Each token becomes a vector of its own, with a mean well off zero."""
    assert ids.dtype == torch.int64
    assert ids.shape[1] == 77
    return torch.sin(ids[..., None] * torch.linspace(0.1, 1, WIDTH)) + 0.5


def context_of(text: str, tokenizer: ClipTokenizer, encoder: Callable[[Tensor], Tensor]) -> Tensor:
    """The context of a prompt, as long as it is itself."""
    return encode_prompts((text, ""), tokenizer, encoder)[0].context


def test_a_short_prompt_is_one_chunk(tokenizer: ClipTokenizer):
    assert context_of("a cat", tokenizer, encoder).shape == (1, 77, WIDTH)


def test_a_long_prompt_is_several_chunks_side_by_side(tokenizer: ClipTokenizer):
    both = context_of("cat BREAK dog", tokenizer, encoder)
    assert both.shape == (1, 154, WIDTH)
    assert both[:, :77].equal(context_of("cat", tokenizer, encoder))
    assert both[:, 77:].equal(context_of("dog", tokenizer, encoder))


@pytest.mark.parametrize(("prompt", "negative"), [("cat " * 100, "dog"), ("cat", "dog " * 200)])
def test_prompt_and_negative_prompt_get_the_same_length(
    tokenizer: ClipTokenizer, prompt: str, negative: str
):
    positive, unwanted = (c.context for c in encode_prompts((prompt, negative), tokenizer, encoder))
    assert positive.shape == unwanted.shape
    shorter = unwanted if len(prompt) > len(negative) else positive
    assert shorter[:, -77:].equal(context_of("", tokenizer, encoder))


def test_a_blend_is_the_weighted_mean_of_its_parts(tokenizer: ClipTokenizer):
    blended = context_of("cat:0.25 (dog:1.4):0.75", tokenizer, encoder)
    cat = context_of("cat", tokenizer, encoder)
    dog = context_of("(dog:1.4)", tokenizer, encoder)
    torch.testing.assert_close(blended, 0.25 * cat + 0.75 * dog)


def test_percentages_and_fractions_blend_alike(tokenizer: ClipTokenizer):
    percent = context_of("cat:25 dog:75", tokenizer, encoder)
    torch.testing.assert_close(percent, context_of("cat:.25 dog:.75", tokenizer, encoder))


def test_parts_of_different_length_blend_chunk_by_chunk(tokenizer: ClipTokenizer):
    blended = context_of("cat BREAK cat:0.5 dog:0.5", tokenizer, encoder)
    dog = context_of("dog", tokenizer, encoder)
    empty = context_of("", tokenizer, encoder)
    cat = context_of("cat", tokenizer, encoder)
    torch.testing.assert_close(blended[:, :77], (cat + dog) / 2)
    torch.testing.assert_close(blended[:, 77:], (cat + empty) / 2)


def test_the_encoder_decides_the_type_of_the_conditioning(tokenizer: ClipTokenizer):
    for prompt in ("(cat:1.3)", "cat:0.4 dog:0.6"):
        conditioning = context_of(prompt, tokenizer, lambda ids: encoder(ids).bfloat16())
        assert conditioning.dtype == torch.bfloat16


def test_errors_point_into_the_whole_prompt(tokenizer: ClipTokenizer):
    with pytest.raises(PromptError) as caught:
        context_of("a duck:0.5  (cat:1.2.3):0.5", tokenizer, encoder)
    assert caught.value.position == 17


def test_emphasis_scales_the_word_against_the_rest():
    hidden = torch.rand(2, 77, WIDTH) + 0.5
    weights = torch.ones(2, 77)
    weights[1, 3] = 1.5
    result = apply_weights(hidden, weights)
    assert result[0].equal(hidden[0])
    torch.testing.assert_close(result[1, 3] / result[1, 4], 1.5 * hidden[1, 3] / hidden[1, 4])


@given(st.integers(0, 1000), st.floats(0, 3))
def test_weighting_keeps_the_mean_of_every_chunk(seed: int, weight: float):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(3, 77, WIDTH, generator=generator) + 0.3
    weights = torch.ones(3, 77)
    weights[:, 1:20] = weight
    after = apply_weights(hidden, weights).mean(dim=(1, 2))
    torch.testing.assert_close(after, hidden.mean(dim=(1, 2)), rtol=1e-4, atol=1e-5)


def test_a_chunk_is_weighted_alike_alone_and_among_others():
    hidden, weights = torch.randn(4, 77, WIDTH), torch.rand(4, 77)
    together = apply_weights(hidden, weights)
    torch.testing.assert_close(together[2:3], apply_weights(hidden[2:3], weights[2:3]))


@pytest.mark.parametrize(
    "hidden", [torch.zeros(1, 77, 4), torch.tensor([1.0, -1]).repeat(1, 77, 2)]
)
def test_a_mean_of_zero_leaves_the_words_their_weights(hidden: Tensor):
    weights = torch.full((1, 77), 2.0)
    assert apply_weights(hidden, weights).equal(hidden * 2)


def test_weights_of_zero_give_zeros_and_no_nan():
    assert apply_weights(torch.ones(1, 77, 4), torch.zeros(1, 77)).equal(torch.zeros(1, 77, 4))


def test_gradients_are_finite_even_where_the_mean_is_zero():
    hidden = torch.zeros(1, 77, 4, requires_grad=True)
    apply_weights(hidden, torch.full((1, 77), 1.3)).sum().backward()
    assert hidden.grad is not None
    assert torch.isfinite(hidden.grad).all()


def test_the_echo_says_how_the_prompt_was_read(tokenizer: ClipTokenizer):
    echo = explain("tabby (cat:1.5):25 white duck BREAK x:75", tokenizer)
    assert json.loads(json.dumps(echo)) == echo
    assert echo == {
        "parts": [
            {
                "text": "tabby (cat:1.5)",
                "weight": 25.0,
                "share": 0.25,
                "runs": [{"text": "tabby ", "weight": 1.0}, {"text": "cat", "weight": 1.5}],
                "chunks": 1,
                "tokens": 2,
            },
            {
                "text": "white duck BREAK x",
                "weight": 75.0,
                "share": 0.75,
                "runs": [
                    {"text": "white duck", "weight": 1.0},
                    {"break": True},
                    {"text": "x", "weight": 1.0},
                ],
                "chunks": 2,
                "tokens": 3,
            },
        ],
        "chunks": 2,
        "tokens": 5,
    }
