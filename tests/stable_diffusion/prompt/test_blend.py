import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.blend import parse_blend


def blend(prompt: str) -> list[tuple[str, float]]:
    return [(part.text, part.weight) for part in parse_blend(prompt)]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", [("", 1)]),
        ("tabby cat", [("tabby cat", 1)]),
        (
            "tabby cat:0.25 white duck:0.75 hybrid",
            [("tabby cat", 0.25), ("white duck", 0.75), ("hybrid", 1)],
        ),
        ("cat:25 duck:75", [("cat", 25), ("duck", 75)]),
        ("cat:.5 duck:1. ", [("cat", 0.5), ("duck", 1)]),
        ("cat:1 duck:-0.5", [("cat", 1), ("duck", -0.5)]),
        ("cat:0.5", [("cat", 0.5)]),
        ("portrait 16:9 photo", [("portrait 16", 9), ("photo", 1)]),
        ("cat:1\nduck:2", [("cat", 1), ("duck", 2)]),
        ("(red:1.3) cat:0.5 [blue] duck:0.5", [("(red:1.3) cat", 0.5), ("[blue] duck", 0.5)]),
        ("(a cat:2 and a duck:3 there)", [("(a cat:2 and a duck:3 there)", 1)]),
        ("[a cat:2 there]", [("[a cat:2 there]", 1)]),
        ("(a cat:2 unclosed", [("(a cat:2 unclosed", 1)]),
        ("cat) a:2 b", [("cat) a", 2), ("b", 1)]),
        (r"\(cat:2 b", [(r"\(cat", 2), ("b", 1)]),
        (r"16\:9 photo", [(r"16\:9 photo", 1)]),
        ("cat:0.5, duck:0.5", [("cat:0.5, duck", 0.5)]),
        ("cat: 0.5 duck", [("cat: 0.5 duck", 1)]),
        ("cat:0.5.5 duck", [("cat:0.5.5 duck", 1)]),
        ("cat:1.3)", [("cat:1.3)", 1)]),
        (":3 a happy cat", [(":3 a happy cat", 1)]),
        ("a:1:2 b", [("a:1", 2), ("b", 1)]),
    ],
)
def test_a_number_after_words_weighs_them(prompt: str, expected: list[tuple[str, float]]):
    assert blend(prompt) == expected


@pytest.mark.parametrize("prompt", ["cat:0 duck:0", "cat:0", "cat:1 duck:-1", "a:.1 b:.2 c:-.3"])
def test_weights_that_cancel_out_are_refused(prompt: str):
    with pytest.raises(PromptError, match="add up to zero"):
        parse_blend(prompt)


def test_a_weight_beyond_all_use_is_refused_with_its_place():
    with pytest.raises(PromptError, match="beyond") as caught:
        parse_blend("cat:" + "9" * 400)
    assert caught.value.position == 4


@given(st.text(alphabet=st.sampled_from("ab :()[]\\.-+10\n"), max_size=60))
def test_any_text_is_read_or_refused_with_a_prompt_error(prompt: str):
    try:
        parts = parse_blend(prompt)
    except PromptError:
        return
    for part in parts:
        assert prompt[part.start :].startswith(part.text)


@pytest.mark.parametrize(
    "prompt",
    ["a:1 " * 100_000, "a:" + "1" * 200_000 + "x", *(letter * 200_000 for letter in "(: ")],
)
def test_long_prompts_are_read_in_one_pass(prompt: str):
    with contextlib.suppress(PromptError):
        parse_blend(prompt)
