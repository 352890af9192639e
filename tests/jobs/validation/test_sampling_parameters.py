"""The parameters of the sampling: their rules, and the warnings about what has no effect."""

from typing import Any

import pytest

from jobs.errors import InvalidRequest
from jobs.names import SAMPLERS
from jobs.validation.request import parse_request
from jobs.validation.sampling_warnings import sampling_warnings

GIVEN: dict[str, Any] = {
    "scheduler": "beta",
    "eta": 0.5,
    "s_churn": 5,
    "s_noise": 0.9,
    "s_tmin": 0.1,
    "s_tmax": 5,
}


def warnings(**body: Any) -> tuple[str, ...]:
    return sampling_warnings(parse_request("txt2img", {"prompt": "a", **body}))


@pytest.mark.parametrize("spelling", ["sgm_uniform", "SGM Uniform", "sgm  uniform", "SGMUniform"])
def test_a_scheduler_is_read_in_any_spelling(spelling: str):
    request = parse_request("txt2img", {"prompt": "a", "scheduler": spelling})
    assert request.scheduler == "sgm_uniform"


@pytest.mark.parametrize("sampler", [row.key for row in SAMPLERS])
def test_what_a_sampler_does_not_take_is_a_warning_each(sampler: str):
    takes = next(row.takes for row in SAMPLERS if row.key == sampler)
    found = warnings(sampler=sampler, **GIVEN)
    assert {warning.partition(":")[0] for warning in found} == set(GIVEN) - takes
    assert not warnings(sampler=sampler)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sampler": "k_euler", "s_tmin": 0.5}, "s_tmin"),
        ({"variation_seed": 5}, "variation_seed"),
        ({"scale": 1, "guidance_rescale": 0.5}, "guidance_rescale"),
        ({"scale": 1, "guidance_end": 0.5}, "guidance_end"),
        ({"sampler": "k_euler", "ddim_eta": 0.5}, "ddim_eta"),
        ({"ddim_eta": 0.5, "eta": 0.2}, "ddim_eta"),
        ({"tiling": True, "output_width": 256, "output_height": 256}, "tiling"),
    ],
)
def test_a_value_that_needs_another_is_a_warning(body: dict[str, Any], field: str):
    assert [warning.partition(":")[0] for warning in warnings(**body)] == [field]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"guidance_start": 0.8, "guidance_end": 0.2}, "guidance_start"),
        ({"guidance_start": 0.8, "guidance_end": 0.7999}, "guidance_start"),
        ({"s_tmin": 5, "s_tmax": 1}, "s_tmin"),
        ({"variation_seed": 2**53 - 1, "n_iter": 2}, "variation_seed"),
        ({"scheduler": "karat"}, "scheduler"),
        ({"seed_resize_from_h": 100}, "seed_resize_from_h"),
    ],
)
def test_values_that_contradict_each_other_are_refused(body: dict[str, Any], field: str):
    with pytest.raises(InvalidRequest) as caught:
        parse_request("txt2img", {"prompt": "a", **body})
    assert [fault.field for fault in caught.value.faults] == [field]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, ""),
        ({"sampler": "lcm", "ddim_steps": 4}, "the few steps of the sampler LCM"),
        ({"ddim_steps": 1}, "the network is evaluated once"),
        ({"ddim_steps": 1, "sampler": "plms"}, "the network is evaluated once"),
        ({"ddim_steps": 2, "sampler": "k_heun"}, ""),
        ({"ddim_steps": 1, "hires_scale": 2, "hires_steps": 8}, ""),
        ({"sampler": "tcd", "hires_scale": 2, "hires_sampler": "k_euler"}, ""),
        (
            {"hires_scale": 2, "hires_steps": 1, "sampler": "lcm", "hires_sampler": "k_euler"},
            "once",
        ),
    ],
)
def test_a_cache_that_nothing_can_use_is_a_warning(body: dict[str, Any], told: str):
    found = [text for text in warnings(cache={"interval": 3}, **body) if text.startswith("cache:")]
    assert bool(found) == bool(told)
    assert all(told in text and text.endswith("it had no effect") for text in found)
    assert not [text for text in warnings(**body) if text.startswith("cache:")]
