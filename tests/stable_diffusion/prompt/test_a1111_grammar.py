"""AUTOMATIC1111's grammar of prompts as a whole, next to the native one."""

import json
from typing import Any

import pytest

from stable_diffusion.errors import PromptError
from stable_diffusion.prompt.conditioning import explain
from stable_diffusion.prompt.emphasis import Break, EmphasisRun
from stable_diffusion.prompt.grammar import LoraTag, ParsedPrompt, read_prompt, schedules_of
from stable_diffusion.prompt.tokenizer import ClipTokenizer


def a1111(prompt: str, *, negative: bool = False) -> ParsedPrompt:
    return read_prompt(prompt, "a1111", negative=negative)


def runs(prompt: str) -> list[Any]:
    """Of a prompt that does not change."""
    (part,) = a1111(prompt).parts
    return [
        "BREAK" if isinstance(run, Break) else (run.text, pytest.approx(run.weight))
        for run in part.runs
    ]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        # the examples of parse_prompt_attention
        ("normal text", [("normal text", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [
                ("a ", 1.0),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
        ),
        # only brackets and backslashes can be escaped
        (r"(a\:1.2)", [("a", 1.2)]),
        (r"a\|b \\ c", [("a|b \\ c", 1.0)]),
        ("a BREAK (b)", [("a", 1.0), "BREAK", ("b", 1.1)]),
        ("a cat:0.25, a dog:0.75,", [("a cat:0.25, a dog:0.75,", 1.0)]),
        ("a SAND AN D", [("a SAND AN D", 1.0)]),
    ],
)
def test_emphasis_and_escapes_are_automatic1111s(prompt: str, expected: list[object]) -> None:
    assert runs(prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        ("a cat AND a dog", [("a cat", 1.0), ("a dog", 1.0)]),
        ("a cat :1.2 AND a dog : .7 AND fog:-1", [("a cat", 1.2), ("a dog", 0.7), ("fog", -1.0)]),
        ("a (cat:1.2) AND a dog", [("a (cat:1.2)", 1.0), ("a dog", 1.0)]),
        ("a\ncat:2\n AND\n\na dog", [("a\ncat", 2.0), ("a dog", 1.0)]),
        ("AND a dog", [("", 1.0), ("a dog", 1.0)]),
        ("photo, 16:9", [("photo, 16", 9.0)]),
        ("a [b:c:3] d:0.5", [("a b d", 0.5)]),
    ],
)
def test_and_joins_prompts_with_weights(prompt: str, prompts: list[tuple[str, float]]) -> None:
    found = [
        (one.stages[0][1].parts[0].text, one.weight) for one in schedules_of(a1111(prompt), 10)
    ]
    assert found == prompts


def test_each_prompt_of_a_composition_is_edited_by_itself() -> None:
    one, other = schedules_of(a1111("a [b:c:0.5] AND [d|e] (f:1.2):2"), 4)
    assert [(last, stage.parts[0].text) for last, stage in one.stages] == [(2, "a b"), (4, "a c")]
    assert [last for last, _ in other.stages] == [1, 2, 3, 4]
    assert other.stages[0][1] is other.stages[2][1]
    assert other.stages[1][1].parts[0].runs == (EmphasisRun("e ", 1.0), EmphasisRun("f", 1.2))
    assert (one.weight, other.weight) == (1, 2)


def test_a_negative_prompt_is_edited_but_not_composed() -> None:
    (schedule,) = schedules_of(a1111("a [b:c:0.5] AND d:2", negative=True), 4)
    texts = [(last, stage.parts[0].text) for last, stage in schedule.stages]
    assert texts == [(2, "a b AND d:2"), (4, "a c AND d:2")]
    assert schedule.weight == 1


def test_tags_are_found_and_left_out_wherever_they_stand() -> None:
    prompt = a1111("[<lora:ink:0.8>a:b:2] <shiny> AND c <lora:oil:1>")
    assert prompt.loras == (LoraTag("ink", 0.8), LoraTag("oil"))
    assert prompt.embeddings == ("shiny",)
    one, other = schedules_of(prompt, 4)
    assert [stage.parts[0].text for _, stage in one.stages] == ["a <shiny>", "b <shiny>"]
    assert other.stages[0][1].parts[0].text == "c"


def test_comments_are_left_out_and_told() -> None:
    prompt = a1111("a cat # in a hat <lora:ink:1>\non a mat")
    assert [run[0].split() for run in runs(prompt.text)] == [["a", "cat", "on", "a", "mat"]]
    assert prompt.loras == ()
    assert prompt.warnings == ("has a comment, '# in a hat <lora:ink:1>', that was left out",)


@pytest.mark.parametrize("prompt", ["a cat 16:9", "a cat:0.5"])
def test_a_number_that_weighs_a_lone_prompt_is_told(prompt: str) -> None:
    (told,) = a1111(prompt).warnings
    assert "a colon and a number, which weighs it" in told
    assert a1111(f"{prompt},").warnings == ()


def test_what_the_grammar_knows_is_no_warning_and_the_native_one_names_it() -> None:
    text = "a [b:c:0.5] [d|e] AND f"
    assert a1111(text).warnings == ()
    native = read_prompt(text).warnings
    assert len(native) == 3
    assert all('"prompt_grammar": "a1111"' in warning for warning in native)


@pytest.mark.parametrize(
    ("prompt", "match"),
    [
        (" AND ".join("abcdefghijklmnopq"), "17 prompts joined by AND; the most are 16"),
        ("see page:1234", "beyond ±100; a comma after it makes it text"),
        ("[a:(b:1.2.3):0.5]", "1.2.3"),
    ],
)
def test_what_cannot_be_followed_is_refused(prompt: str, match: str) -> None:
    with pytest.raises(PromptError, match=match):
        schedules_of(a1111(prompt), 4)


def test_a_prompt_without_editing_is_like_a_native_one() -> None:
    ours, theirs = read_prompt("a (red:1.2) cat"), a1111("a (red:1.2) cat")
    assert ours.parts == theirs.parts
    assert theirs.composed == ()


def test_the_echo_has_the_schedule() -> None:
    echo = explain(a1111("a [cat:(dog):0.5] AND fog BREAK mist:0.5"), ClipTokenizer(), 4)
    assert json.loads(json.dumps(echo)) == echo
    assert echo == {
        "grammar": "a1111",
        "parts": [
            {
                "text": "a [cat:(dog):0.5]",
                "weight": 1.0,
                "schedule": [
                    {
                        "until_step": 2,
                        "text": "a cat",
                        "runs": [{"text": "a cat", "weight": 1.0}],
                        "chunks": 1,
                        "tokens": 2,
                    },
                    {
                        "until_step": 4,
                        "text": "a (dog)",
                        "runs": [{"text": "a ", "weight": 1.0}, {"text": "dog", "weight": 1.1}],
                        "chunks": 1,
                        "tokens": 2,
                    },
                ],
            },
            {
                "text": "fog BREAK mist",
                "weight": 0.5,
                "schedule": [
                    {
                        "until_step": 4,
                        "text": "fog BREAK mist",
                        "runs": [
                            {"text": "fog", "weight": 1.0},
                            {"break": True},
                            {"text": "mist", "weight": 1.0},
                        ],
                        "chunks": 2,
                        "tokens": 2,
                    }
                ],
            },
        ],
        "chunks": 2,
        "tokens": 4,
    }


@pytest.mark.parametrize(
    ("when", "last"),
    [("0.5", 0), ("1.25", 1), ("1.5", 2), ("3", 0), ("10", 0), ("12", 2), ("99", 4)],
)
def test_when_counts_on_in_a_second_pass(when: str, last: int):
    (schedule,) = schedules_of(a1111(f"[one:other:{when}]"), 4, 10)
    stages = [(end, stage.parts[0].text) for end, stage in schedule.stages]
    assert stages == [(last, "one")] * (last > 0) + [(4, "other")] * (last < 4)
