"""What of a request a model does not take is said in words."""

from dataclasses import replace
from typing import Any

import pytest

from jobs.validation.request import parse_request
from stable_diffusion.families import family_by_id
from stable_diffusion.load_model import load_model
from stable_diffusion.tiny import PATH
from worker.execution.model_warnings import model_warnings
from worker.execution.prompt_jobs import prompt_jobs_of


@pytest.mark.parametrize(
    ("family", "body", "named"),
    [
        ("tiny-lcm", {}, set()),
        ("tiny-lcm", {"scale": 8, "sampler": "lcm"}, set()),
        (
            "tiny-lcm",
            {"negative_prompt": "blue", "guidance_start": 0.2},
            {"negative_prompt", "guidance_start"},
        ),
        (
            "tiny-lcm",
            {"hires_scale": 2, "hires_negative_prompt": "blue"},
            {"hires_negative_prompt"},
        ),
        ("tiny-lcm", {"guidance_rescale": 0.5, "sampler": "ddim_cfgpp"}, set()),
        (
            "tiny-lcm",
            {"prompt": "a cat AND a dog", "prompt_grammar": "a1111", "negative_prompt": "blue"},
            set(),
        ),
        ("tiny", {"negative_prompt": "blue", "guidance_start": 0.2}, set()),
        ("tiny", {"clip_skip": 12}, {"clip_skip"}),
    ],
)
def test_each_warning_names_its_parameter(
    family: str, body: dict[str, Any], named: set[str]
) -> None:
    model = replace(load_model(PATH, name="m"), family=family_by_id(family))
    request = parse_request("txt2img", {"prompt": "a cat", **body}).settled(model="m", seed=1)
    (prompt_job,) = prompt_jobs_of(request)
    found = model_warnings(model, prompt_job)
    assert {warning.partition(":")[0] for warning in found} == named
