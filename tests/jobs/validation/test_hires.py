"""What a request with a second pass may say, and what is wrong with it."""

from typing import Any

import pytest

from jobs.errors import InvalidRequest
from jobs.limits import Limits
from jobs.validation.hires_rules import hires_warnings, second_pass_steps
from jobs.validation.request import TextToImage, parse_request


def request(limits: Limits | None = None, **body: Any) -> TextToImage:
    parsed = parse_request("txt2img", {"prompt": "a cat", **body}, limits=limits)
    assert isinstance(parsed, TextToImage)
    return parsed


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({}, (256, 384)),
        ({"hires_scale": 2}, (512, 768)),
        ({"hires_scale": 1.1}, (280, 416)),
        ({"hires_width": 512}, (512, 768)),
        ({"hires_height": 512}, (336, 512)),
        ({"hires_width": 512, "hires_height": 512}, (512, 512)),
    ],
)
def test_its_size_is_a_multiple_of_the_first_or_given(
    body: dict[str, Any], size: tuple[int, int]
) -> None:
    assert request(W=256, H=384, **body).generated_size == size
    assert request(W=256, H=384, **body).sampled_size == (256, 384)


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"hires_scale": 2, "hires_width": 512}, "hires_scale", "two_sizes"),
        ({"hires_scale": 4}, "hires_scale", "too_expensive"),
        ({"hires_width": 2048, "W": 64}, "hires_width", "range"),
        ({"hires_height": 2048, "W": 512}, "hires_height", "too_expensive"),
        ({"hires_scale": 2, "hires_steps": 900, "n_iter": 2}, "hires_steps", "too_expensive"),
        ({"hires_scale": 2, "hires_prompt": "<lora:ink>"}, "hires_prompt", "bad_prompt"),
        (
            {
                "hires_scale": 2,
                "hires_steps": 300,
                "prompt_grammar": "a1111",
                "hires_prompt": " AND ".join(["a cat"] * 16),
            },
            "hires_prompt",
            "too_expensive",
        ),
        (
            {"hires_scale": 2, "hires_negative_prompt": "<lora:ink>"},
            "hires_negative_prompt",
            "bad_prompt",
        ),
    ],
)
def test_a_fault_names_the_field(body: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        request(**body)
    assert [(fault.field, fault.code) for fault in raised.value.faults] == [(field, code)]


@pytest.mark.parametrize(("steps", "fits"), [([2, 60], True), ([60, 60], False)])
def test_the_work_of_both_passes_is_that_of_all_combinations(steps: list[int], fits: bool) -> None:
    limits = Limits(max_work=1_200_000)
    body = {"H": 64, "W": 64, "hires_scale": 2, "vary": {"ddim_steps": steps}}
    if fits:
        assert len(request(limits, **body).combinations()) == 2
        return
    with pytest.raises(InvalidRequest) as raised:
        request(limits, **body)
    assert [(fault.field, fault.code) for fault in raised.value.faults] == [
        ("hires_scale", "too_expensive")
    ]


def test_it_may_be_larger_than_the_model_makes_pictures_from_noise() -> None:
    limits = Limits(max_side=512, max_hires_pixels=1024 * 1024)
    assert request(limits, hires_scale=2).generated_size == (1024, 1024)
    with pytest.raises(InvalidRequest):
        request(limits, hires_scale=2.1)


def test_its_steps_are_a_share_as_those_of_image_to_image() -> None:
    assert second_pass_steps(request(hires_scale=2, ddim_steps=20)) == 14
    assert second_pass_steps(request(hires_scale=2, hires_steps=10, hires_strength=0.35)) == 3


def test_what_has_no_effect_is_a_warning() -> None:
    assert hires_warnings(request(hires_scale=2, hires_steps=3)) == ()
    (warning,) = hires_warnings(request(hires_steps=3, hires_prompt="a dog"))
    assert warning.startswith("hires_steps, hires_prompt: ")
    (warning,) = hires_warnings(request(hires_scale=2, hires_scheduler="karras"))
    assert warning.startswith("hires_scheduler: the sampler DDIM ")
    assert (
        hires_warnings(request(hires_scale=2, hires_scheduler="sgm_uniform", sampler="k_euler"))
        == ()
    )
    body = {"prompt": "<lora:ink> a", "hires_scale": 2, "hires_prompt": "a dog"}
    (warning,) = hires_warnings(request(**body))
    assert warning.startswith("hires_prompt: ")
