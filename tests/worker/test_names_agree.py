"""What the API offers is what the engine has."""

from typing import Any

import pytest

from jobs.names import JOB_TYPES, SAMPLERS
from jobs.parameters.schemas import ImageToImage, TextToImage
from stable_diffusion.bounds import MAX_STEPS, check_steps, check_strength
from stable_diffusion.errors import RecipeError
from stable_diffusion.recipe import MemoryPlan
from stable_diffusion.samplers import SAMPLERS as ENGINE_SAMPLERS
from stable_diffusion.samplers import resolve


def test_the_api_lists_the_samplers_of_the_engine() -> None:
    assert tuple(sampler.row for sampler in ENGINE_SAMPLERS.values()) == SAMPLERS


def test_every_spelling_resolves_to_its_sampler() -> None:
    for row in SAMPLERS:
        for spelling in (row.key, row.label.upper(), *row.aliases):
            assert resolve(spelling).row is row


@pytest.mark.parametrize("schema", [TextToImage, ImageToImage])
def test_the_api_accepts_the_steps_that_the_engine_accepts(schema: Any) -> None:
    field = schema.model_json_schema()["properties"]["ddim_steps"]
    assert field["maximum"] == MAX_STEPS
    for steps in (field["minimum"], field["maximum"]):
        check_steps(steps)
    for steps in (field["minimum"] - 1, field["maximum"] + 1):
        with pytest.raises(RecipeError):
            check_steps(steps)


def test_the_api_accepts_the_strengths_that_the_engine_accepts() -> None:
    field = ImageToImage.model_json_schema()["properties"]["denoising_strength"]
    check_strength(field["maximum"])
    for strength in (field["exclusiveMinimum"], field["maximum"] + 0.001):
        with pytest.raises(RecipeError):
            check_strength(strength)


def test_job_types_are_the_engines_memory_plans() -> None:
    assert set(JOB_TYPES) == set(MemoryPlan.__args__)
