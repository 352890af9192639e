"""The request's `prompt_grammar`: checked, kept in the record, and told of in warnings."""

from typing import Any

import pytest

from jobs.errors import InvalidRequest
from jobs.limits import Limits
from jobs.parameters.schemas import Request
from jobs.validation.prompt_warnings import prompt_warnings
from jobs.validation.request import parse_request
from jobs.validation.stored_request import read_stored

EDITED = "a [red:blue:0.5] cat AND a [tree|house]"


def request(**body: Any) -> Request:
    return parse_request("txt2img", {"prompt": EDITED, **body})


def test_the_native_grammar_is_the_default_and_names_the_other_one() -> None:
    assert request().prompt_grammar == "native"
    warnings = prompt_warnings([request()], own=True)
    assert len(warnings) == 3
    assert all('with "prompt_grammar": "a1111" it has its meaning' in each for each in warnings)


def test_automatic1111s_grammar_has_nothing_to_warn_of_and_stays_in_the_record() -> None:
    asked = request(prompt_grammar="a1111", negative_prompt="[fog:0.5] AND rain:2")
    assert prompt_warnings([asked], own=True) == ()
    settled = asked.settled(model="tiny", seed=1)
    assert read_stored("txt2img", settled.stored()) == settled


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"prompt_grammar": "comfy"}, "prompt_grammar", "one of the choices"),
        ({"prompt": "a AND " * 20, "prompt_grammar": "a1111"}, "prompt", "the most are 16"),
        (
            {"prompt": "[a|b]" + "c" * 999, "prompt_grammar": "a1111", "ddim_steps": 600},
            "prompt",
            "edited at 600 steps",
        ),
        (
            {"negative_prompt": "[a:(b:1.2.3):0.5]", "prompt_grammar": "a1111"},
            "negative_prompt",
            "1.2.3",
        ),
    ],
)
def test_what_cannot_be_followed_is_a_fault_of_its_field(
    body: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        request(**body)
    (fault,) = refused.value.faults
    assert fault.field == field
    assert words in fault.problem


def test_a_prompt_can_be_refused_in_one_grammar_and_read_in_the_other() -> None:
    page = "the page of a book:1234"
    assert parse_request("txt2img", {"prompt": page}).prompt == page
    with pytest.raises(InvalidRequest, match="weighs the prompt"):
        parse_request("txt2img", {"prompt": page, "prompt_grammar": "a1111"})


def test_prompts_that_are_joined_count_against_the_budget() -> None:
    limits = Limits(max_work=3 * 64 * 64 * 10)
    body = {"H": 64, "W": 64, "ddim_steps": 10, "prompt_grammar": "a1111", "prompt": ""}
    five = " AND ".join("abcde")
    assert parse_request("txt2img", {**body, "prompt": five}, limits=limits).prompt == five
    with pytest.raises(InvalidRequest) as refused:
        parse_request("txt2img", {**body, "prompt": f"{five} AND f"}, limits=limits)
    (fault,) = refused.value.faults
    assert (fault.field, fault.code) == ("ddim_steps", "too_expensive")
    assert "(prompts joined by AND + 1)/2 is 143360" in fault.problem
    assert "ddim_steps up to 8" in fault.expected
