import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.blend import blend_warnings, parse_blend


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
        ("cat:.5 duck:0.5 ", [("cat", 0.5), ("duck", 0.5)]),
        ("cat:1. duck:0", [("cat", 1), ("duck", 0)]),
        ("cat:1.5 duck:-0.5", [("cat", 1.5), ("duck", -0.5)]),
        ("cat:25\nduck:75", [("cat", 25), ("duck", 75)]),
        ("cat:0.5, duck:0.5.", [("cat", 0.5), ("duck", 0.5)]),
        ("cat:33 duck:33 goat:33", [("cat", 33), ("duck", 33), ("goat", 33)]),
        ("cat:0.33 duck:0.33 goat:0.33", [("cat", 0.33), ("duck", 0.33), ("goat", 0.33)]),
        ("Ferrari F40:0.25 Audi R8:0.75", [("Ferrari F40", 0.25), ("Audi R8", 0.75)]),
        ("猫:0.5，犬:0.5。", [("猫", 0.5), ("犬", 0.5)]),
        ("cat:0.5,2 ducks:0.5", [("cat", 0.5), ("2 ducks", 0.5)]),
        (":0.5 cat:0.5 duck:0.5", [(":0.5 cat", 0.5), ("duck", 0.5)]),
        ("(red:1.3) cat:0.5 [blue] duck:0.5", [("(red:1.3) cat", 0.5), ("[blue] duck", 0.5)]),
        ("cat) a:0.5 b:0.5", [("cat) a", 0.5), ("b", 0.5)]),
        (r"\(cat:0.5 b:0.5", [(r"\(cat", 0.5), ("b", 0.5)]),
    ],
)
def test_numbers_that_add_up_to_1_or_100_weigh_the_words_before_them(
    prompt: str, expected: list[tuple[str, float]]
):
    assert blend(prompt) == expected


@pytest.mark.parametrize(
    "prompt",
    [
        "a clock 10:30 a red dragon on a beach",
        "a train leaves at 10:45 and arrives at 11:55",
        "a clock shows 5:00",
        "portrait 16:9 photo",
        "a red dragon, seed:42",
        "seed:42 steps:20 a red dragon",
        "a browser at localhost:5000 and a dragon",
        "iso:100 photo of a dragon",
        "photo, f:1.8 aperture",
        ":3 a happy cat",
        "chapter:1 a dragon",
        "cat:1 duck:2",
        "cat:0 duck:0",
        "cat:1 duck:-1",
        "cat:0.5",
        "cat:" + "9" * 400,
        "(a cat:0.5 and a duck:0.5 there)",
        "[a cat:0.5 there] duck:0.5",
        "(a cat:0.5 unclosed:0.5",
        r"a cat\:0.5 duck:0.5",
        "cat: 0.5 duck: 0.5",
        "cat:0,5 duck:1,5",
        "from 00:59 to 10:41",
        "cat:0.5.5 duck:0.5",
        "cat:0.3) duck:0.5",
        "a:1:99 b:1",
    ],
)
def test_any_other_number_after_a_colon_is_text(prompt: str):
    assert blend(prompt) == [(prompt, 1)]


def test_a_weight_beyond_all_use_is_refused_with_its_place():
    with pytest.raises(PromptError, match="beyond") as caught:
        parse_blend("cat:2000001 dog:-2000000")
    assert caught.value.position == 4


def warnings(prompt: str) -> tuple[str, ...]:
    return blend_warnings(prompt, parse_blend(prompt))


def test_a_blend_is_told_with_its_shares():
    assert warnings("tabby cat:0.25 white duck:0.75 hybrid") == (
        r"is a blend of 'tabby cat' 12.5%, 'white duck' 37.5%, 'hybrid' 50.0%; "
        r"for a plain colon write \:",
    )
    (many,) = warnings(" ".join(f"word{letter}:10" for letter in "abcdefghij"))
    assert "and 6 more" in many


def test_numbers_that_look_like_weights_and_are_text_are_told():
    (told,) = warnings("cat:1 duck:2")
    assert "(1, 2) that were read as text" in told
    assert "add up to 1 or 100" in told
    assert "(0.5)" in warnings("cat:0.5")[0]


@pytest.mark.parametrize(
    "prompt",
    ["cat: 0.25 duck: 0.75", "cat:0,25 duck:0,75", "cat:25% duck:75%", "猫：0.5 犬：0.5"],
)
def test_weights_that_are_almost_written_as_such_are_told(prompt: str):
    (told,) = warnings(prompt)
    assert "as in cat:0.5, without a space after the colon" in told


@pytest.mark.parametrize(
    "prompt",
    ["a cat", "a clock 10:30", "seed:42", "16:9 :3 (cat:1.3)", "50:50, then 10:30, then 12:40"],
)
def test_text_that_nobody_takes_for_weights_is_not_told(prompt: str):
    assert warnings(prompt) == ()


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
    [
        "a:1 " * 50_000,
        "a:0.00001 " * 20_000,
        "a:" + "1" * 200_000 + "x",
        "1:1 " * 50_000,
        "a: 1% " * 33_000,
        *(letter * 200_000 for letter in "(: "),
    ],
)
def test_long_prompts_are_read_in_one_pass(prompt: str):
    with contextlib.suppress(PromptError):
        warnings(prompt)
