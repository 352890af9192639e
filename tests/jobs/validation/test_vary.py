"""One or two lists of values make all combinations, each as valid as a request of its own."""

from typing import Any

import pytest

from jobs.errors import InvalidRequest
from jobs.limits import Limits
from jobs.names import GenerationKind
from jobs.validation.comparisons import comparison_warnings
from jobs.validation.request import GenerationRequest, parse_request
from jobs.validation.stored_request import read_stored
from tests.jobs.validation.test_model_choice import INIT_IMAGE

LIMITS = Limits(max_images=8, max_work=8 * 64 * 64 * 20)
SMALL = {"H": 64, "W": 64, "prompt": "a cat"}


def parsed(kind: GenerationKind = "txt2img", **body: Any) -> GenerationRequest:
    return parse_request(kind, SMALL | body, limits=LIMITS)


def test_combinations_go_row_by_row_with_the_first_field_across() -> None:
    request = parsed(vary={"sampler": ["Euler a", "ddim"], "scale": [4, 7.5, 12]}, scale=3)
    rows = [(each.sampler, each.scale) for each in request.combinations()]
    assert rows == [
        *(("k_euler_a", 4), ("ddim", 4)),
        *(("k_euler_a", 7.5), ("ddim", 7.5)),
        *(("k_euler_a", 12), ("ddim", 12)),
    ]
    assert all(each.vary is None for each in request.combinations())
    # a reader of the record that knows nothing of `vary` sees the first combination
    assert (request.sampler, request.scale) == rows[0]


def test_the_record_has_the_values() -> None:
    request = parsed(vary={"seed": [1, 2.0], "prompt": ["a", "b"]})
    read = read_stored("txt2img", request.stored())
    assert read == request
    assert request.stored()["vary"] == {"seed": [1, 2], "prompt": ["a", "b"]}


def test_prompts_that_vary_need_no_other() -> None:
    assert parse_request("txt2img", {"vary": {"prompt": ["a", "b"]}}).prompt == "a"


@pytest.mark.parametrize(
    ("vary", "field", "said"),
    [
        ({"scale": [4, 7.5, 1000]}, "vary.scale[2]", "from -100 up to 100"),
        ({"sampler": ["k_eulr"]}, "vary.sampler[0]", "did you mean k_euler?"),
        ({"ddim_steps": [0], "scale": [1]}, "vary.ddim_steps[0]", "an integer from 1"),
        ({"prompt": ["ok", "(a:1.2.3)"]}, "vary.prompt[1]", "(emphasis:1.2)"),
        ({"scale": [1, 2], "guidance_start": [0, 0.9]}, "vary.guidance_start[1]", "at most"),
        ({"seed": [1, -1]}, "vary.seed[1]", "drawn at random"),
        ({"denoising_strength": [0.5]}, "vary.denoising_strength[0]", "img2img"),
        ({"n_iter": [2]}, "vary", "names n_iter, which cannot vary"),
        ({"hires_scale": [None, 2, 9]}, "vary.hires_scale[2]", "from 1 up to 4"),
        ({"hires_scale": [2], "hires_width": [None, 128]}, "vary.hires_scale[0]", "a second size"),
        ({"hires_scale": [1, 4], "hires_steps": [0, 80]}, "vary", "of both passes"),
        (
            {"hires_prompt": ["a dog <lora:ink:1>"], "hires_scale": [2]},
            "vary.hires_prompt[0]",
            "ink",
        ),
        ({"cache": [None, {"interval": 1}]}, "vary.cache[1]", "from 2 up to 10"),
        ({"refiner": [None, {"switch_at": 0.5}]}, "vary.refiner[1]", 'such as {"ckpt"'),
        ({"W": [64, 100]}, "vary.W[1]", "a multiple of 8"),
        ({"cfg_scale": [64, 128]}, "vary", "did you mean scale?"),
        ({}, "vary", "one or two fields"),
        ({"scale": [1], "seed": [1], "eta": [1]}, "vary", "one or two fields"),
        ({"scale": 4}, "vary", "has no list of 1 to 64 values for scale"),
        ({"scale": []}, "vary", "has no list"),
        ({"scale": [1, 2, 3], "seed": [1, 2, 3]}, "vary", "is 9"),
        ({"ddim_steps": [80, 90]}, "vary", "·H·W·ddim_steps is 696320"),
        ("scale", "vary", "not an object"),
    ],
)
def test_what_cannot_vary(vary: Any, field: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(vary=vary, guidance_end=0.5)
    (fault,) = caught.value.faults
    assert fault.field == field
    assert said in f"{fault.problem}; {fault.expected}"


def test_a_comparison_has_a_grid_of_its_own() -> None:
    body = {"prompt": "a", "n_rows": 3}
    assert comparison_warnings(parse_request("txt2img", body)) == ()
    found = comparison_warnings(parse_request("txt2img", {**body, "vary": {"scale": [1, 2]}}))
    assert [warning.partition(":")[0] for warning in found] == ["n_rows"]


def test_the_work_of_each_combination_counts() -> None:
    parsed(vary={"ddim_steps": [20] * 8})
    parsed(vary={"ddim_steps": [10, 150]})


def test_a_prompt_file_cannot_be_compared() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(**{"from-file": "zoo.txt", "vary": {"scale": [1, 2]}})
    assert "cannot be combined with vary" in {fault.problem for fault in caught.value.faults}


def test_a_second_pass_and_what_only_some_combinations_have_can_vary() -> None:
    vary = {"hires_scale": [None, 1.5], "cache": [None, {"interval": 3}]}
    combinations = parsed(vary=vary, hires_upscaler="lanczos").combinations()
    assert [each.generated_size for each in combinations] == [(64, 64), (96, 96)] * 2
    assert [each.cache_interval for each in combinations] == [1, 1, 3, 3]


def test_what_the_kind_of_request_lacks_cannot_vary() -> None:
    body = {"init_img": INIT_IMAGE, "vary": {"hires_scale": [1, 2]}}
    with pytest.raises(InvalidRequest) as caught:
        parsed("img2img", **body)
    assert [each.problem for each in caught.value.faults] == [
        "belongs to txt2img, not to img2img"
    ] * 2
