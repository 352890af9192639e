"""AUTOMATIC1111's published examples of prompt editing, and the odd texts between them."""

import pytest

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.prompt_editing import parse_editing

LANDSCAPE = (
    "fantasy landscape with a [mountain:lake:0.25] and [an oak:a christmas tree:0.75]"
    "[ in foreground::0.6][ in background:0.25] [shoddy:masterful:0.5]"
)


def by_turns(*texts: str) -> list[tuple[int, str]]:
    return [(step, texts[(step - 1) % len(texts)]) for step in range(1, 11)]


@pytest.mark.parametrize(
    ("prompt", "stages"),
    [
        # the examples of the function's documentation, at 10 steps
        ("test", [(10, "test")]),
        ("a [b:3]", [(3, "a "), (10, "a b")]),
        ("a [b: 3]", [(3, "a "), (10, "a b")]),
        ("a [[[b]]:2]", [(2, "a "), (10, "a [[b]]")]),
        ("[(a:2):3]", [(3, ""), (10, "(a:2)")]),
        ("a [b : c : 1] d", [(1, "a b  d"), (10, "a  c  d")]),
        ("a[b:[c:d:2]:1]e", [(1, "abe"), (2, "ace"), (10, "ade")]),
        ("a [unbalanced", [(10, "a [unbalanced")]),
        ("a [b:.5] c", [(5, "a  c"), (10, "a b c")]),
        ("a [{b|d{:.5] c", [(5, "a  c"), (10, "a {b|d{ c")]),
        ("((a][:b:c [d:3]", [(3, "((a][:b:c "), (10, "((a][:b:c d")]),
        ("[a|(b:1.1)]", by_turns("a", "(b:1.1)")),
        ("[fe|]male", by_turns("female", "male")),
        # ours
        ("[a|b|c]", by_turns("a", "b", "c")),
        ("[a::3] b", [(3, "a b"), (10, " b")]),
        ("[a:b:0]", [(10, "b")]),
        ("[a:b:-0.5]", [(10, "b")]),
        ("[a:b:1.0]", [(10, "a")]),
        ("[a:b:99]", [(10, "a")]),
        ("[a:b:1e0]", [(1, "a"), (10, "b")]),
        ("[a:a:5]", [(10, "a")]),
        ("[a:b]", [(10, "[a:b]")]),
        ("[a:b:c]", [(10, "[a:b:c]")]),
        ("[a:b:c:3]", [(10, "[a:b:c:3]")]),
        (r"[a\:b:3]", [(3, ""), (10, r"a\:b")]),
        (r"\[a:b:3\]", [(10, r"\[a:b:3\]")]),
        (r"[a\|b|c]", by_turns(r"a\|b", "c")),
        ("a | [b:3]", [(10, "a | [b:3]")]),
        ("(a | b) [b:3]", [(10, "(a | b) [b:3]")]),
        ("[b:3] \\", [(10, "[b:3] \\")]),
        ("[a (b:3]", [(10, "[a (b:3]")]),
        ("([a:b:3]:1.2)", [(3, "(a:1.2)"), (10, "(b:1.2)")]),
        ("[x|[a:b:3]]", [(1, "x"), (2, "a"), *by_turns("x", "b")[2:]]),
        ("[[a|b]:c:2]", [(1, "a"), (2, "b"), (10, "c")]),
        ("", [(10, "")]),
    ],
)
def test_a_text_is_edited_as_automatic1111_does(prompt: str, stages: list[tuple[int, str]]) -> None:
    assert list(parse_editing(prompt).stages(10)) == stages


def test_empty_options_keep_their_turn() -> None:
    text = parse_editing("[fe|||]male").stages(10)
    assert text == (
        (1, "female"),
        (4, "male"),
        (5, "female"),
        (8, "male"),
        (9, "female"),
        (10, "male"),
    )


def test_the_example_of_the_parser_is_read_as_it_says() -> None:
    assert parse_editing(LANDSCAPE).stages(100) == tuple(
        (step, f"fantasy landscape with a {text}")
        for step, text in [
            (25, "mountain and an oak in foreground shoddy"),
            (50, "lake and an oak in foreground in background shoddy"),
            (60, "lake and an oak in foreground in background masterful"),
            (75, "lake and an oak in background masterful"),
            (100, "lake and a christmas tree in background masterful"),
        ]
    )


@pytest.mark.parametrize(
    "piece", ["[", "]", "(", "[a:", "[a|", ":", "|", "\\", "[(", "[a:b:3]", "[|]"]
)
def test_long_texts_are_read_in_one_pass(piece: str) -> None:
    parse_editing(piece * 50_000)


def test_brackets_may_be_as_deep_as_they_like() -> None:
    deep = parse_editing("[a:" * 5_000 + "b" + ":2]" * 5_000)
    assert deep.stages(4) == ((2, "a"), (4, "b"))


def test_a_text_that_is_edited_too_often_is_refused() -> None:
    text = parse_editing("[a|b]" + "c" * 1_000)
    assert len(text.stages(400)) == 400
    with pytest.raises(PromptError, match="edited at 1000 steps and has 1005 characters"):
        text.stages(1000)
