import contextlib
import itertools
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.emphasis import Break, EmphasisRun, parse_emphasis

GRAMMAR = st.text(alphabet=st.sampled_from("ab ,:()[]\\.-+10BREAK\n\u00e9\U0001f409"), max_size=60)


def runs(prompt: str) -> list[tuple[str, float] | str]:
    return [
        (run.text, run.weight) if isinstance(run, EmphasisRun) else "BREAK"
        for run in parse_emphasis(prompt)
    ]


def approximately(*expected: tuple[str, float]) -> list[tuple[str, object]]:
    return [(text, pytest.approx(weight)) for text, weight in expected]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", [("", 1)]),
        ("(())", [("", 1)]),
        ("cat", [("cat", 1)]),
        ("(cat)", [("cat", 1.1)]),
        ("((cat))", [("cat", 1.21)]),
        ("[cat]", [("cat", 1 / 1.1)]),
        ("[[cat]]", [("cat", 1 / 1.21)]),
        ("((cat:1.3))", [("cat", 1.43)]),
        ("(cat:-1)", [("cat", -1)]),
        ("(cat:+.5)", [("cat", 0.5)]),
        ("(cat:0)", [("cat", 0)]),
        ("(cat:  1.3 )", [("cat", 1.3)]),
        ("(a b (c:1.5) d:0.8)", [("a b ", 0.8), ("c", 1.2), (" d", 0.8)]),
        ("(cat", [("cat", 1.1)]),
        ("a [cat (dog", [("a ", 1), ("cat ", 1 / 1.1), ("dog", 1)]),
        ("cat)", [("cat)", 1)]),
        ("cat] (dog", [("cat] ", 1), ("dog", 1.1)]),
        (r"(\(cat\):1.4)", [("(cat)", 1.4)]),
        (r"\[cat\] \\ 16\:9", [(r"[cat] \ 16:9", 1)]),
        (r"(cat\:1.3)", [("cat:1.3", 1.1)]),
        ("[cat:1.3]", [("cat:1.3", 1 / 1.1)]),
        ("cat:1.3)", [("cat:1.3)", 1)]),
        ("(cat: dog)", [("cat: dog", 1.1)]),
        ("(cat:1.3 dog)", [("cat:1.3 dog", 1.1)]),
        ("(un)(necessary)", [("unnecessary", 1.1)]),
        ("a [(cat)] b", [("a cat b", 1)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1), (" c", 1 / 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [
                ("a ", 1),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
        ),
        (
            "a (red) scaley (((dragon))) on a [beach]",
            [
                ("a ", 1),
                ("red", 1.1),
                (" scaley ", 1),
                ("dragon", 1.331),
                (" on a ", 1),
                ("beach", 1 / 1.1),
            ],
        ),
    ],
)
def test_a_prompt_reads_as_weighted_runs(prompt: str, expected: list[tuple[str, float]]):
    assert runs(prompt) == approximately(*expected)


def test_break_divides_runs_and_takes_the_spaces_around_it():
    assert runs("a cat BREAK a dog") == [("a cat", 1.0), "BREAK", ("a dog", 1.0)]


def test_break_works_inside_brackets():
    expected = [*approximately(("cat", 1.5)), "BREAK", *approximately(("dog", 1.5))]
    assert runs("(cat BREAK dog:1.5)") == expected


@pytest.mark.parametrize("word", ["break", "BREAKING", "OUTBREAK", "BREAK_IN", "Break"])
def test_only_the_whole_upper_case_word_is_a_break(word: str):
    assert runs(f"a {word} b") == [(f"a {word} b", 1.0)]


def test_breaks_alone_stay_breaks():
    assert parse_emphasis("BREAK BREAK") == (Break(), Break())


@pytest.mark.parametrize(
    ("prompt", "weight", "position"),
    [
        ("(cat:1.2.3)", "1.2.3", 5),
        ("a (cat: ..)", "..", 8),
        ("(((a:1) b:+.)", "+.", 10),
    ],
)
def test_a_weight_that_is_no_number_is_named_with_its_place(
    prompt: str, weight: str, position: int
):
    with pytest.raises(PromptError, match="not a number") as caught:
        parse_emphasis(prompt)
    assert repr(weight) in str(caught.value)
    assert str(position) in str(caught.value)
    assert caught.value.position == position


@pytest.mark.parametrize("prompt", ["a (cat:1e9)", "(cat:10000000)", "(" * 200 + "cat"])
def test_a_weight_beyond_all_use_is_refused(prompt: str):
    if "e9" in prompt:  # digits and dots only: this is text
        assert runs(prompt) == [("a ", 1.0), ("cat:1e9", 1.1)]
        return
    with pytest.raises(PromptError, match="beyond"):
        parse_emphasis(prompt)


def test_positions_count_from_the_start_of_the_whole_prompt():
    with pytest.raises(PromptError) as caught:
        parse_emphasis("(cat:1.2.3)", offset=100)
    assert caught.value.position == 105


@given(GRAMMAR)
def test_any_text_is_read_or_refused_with_a_prompt_error(prompt: str):
    try:
        parsed = parse_emphasis(prompt)
    except PromptError as error:
        assert error.position is None or 0 <= error.position < len(prompt)
        return
    assert parsed
    neighbours = itertools.pairwise(parsed)
    for left, right in neighbours:
        if isinstance(left, EmphasisRun) and isinstance(right, EmphasisRun):
            assert left.weight != right.weight


@given(st.text(alphabet=st.characters(exclude_characters="()[]\\:B"), max_size=60))
def test_text_without_marks_is_left_as_it_is(prompt: str):
    assert parse_emphasis(prompt) == (EmphasisRun(prompt, 1.0),)


@given(st.text(max_size=60))
def test_escaping_every_mark_gives_the_text_back(prompt: str):
    escaped = "".join("\\" + letter if letter in "()[]\\:" else letter for letter in prompt)
    parsed = parse_emphasis(escaped.replace("BREAK", ""))
    assert "".join(run.text for run in parsed if isinstance(run, EmphasisRun)) == prompt.replace(
        "BREAK", ""
    )


@pytest.mark.heavy
@pytest.mark.parametrize(
    "prompt",
    [
        "(" * 200_000,
        "(a" * 100_000,
        "[a" * 100_000,
        "(a" * 100_000 + ")" * 100_000,
        "[a" * 100_000 + "]" * 100_000,
        "([" * 50_000 + ")]" * 50_000,
        ")" * 200_000,
        "(a:0.5)" * 50_000,
        "(" + ":1" * 100_000,
        "(:" + "1" * 200_000,
        "(:" + " " * 200_000,
        "(:1" + " " * 200_000,
        " " * 200_000 + "BREAK",
        "BREAK " * 50_000,
        "\\" * 200_000,
        ":" * 200_000,
    ],
    ids=lambda prompt: f"{prompt[:6]!r}",
)
def test_long_prompts_are_read_in_one_pass(prompt: str):
    # about 200,000 characters each:
    # a reading that is quadratic anywhere takes hours here, and the run's time limit ends it
    with contextlib.suppress(PromptError):
        parse_emphasis(prompt)


def test_the_grammar_is_read_without_loading_torch():
    code = (
        "import sys, stable_diffusion.prompt.emphasis, stable_diffusion.prompt.blend;"
        "sys.exit('torch' in sys.modules or 'tokenizers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
