"""A recipe's input images: by role, of the size that the role asks for, and never changed."""

from dataclasses import replace

import pytest
from PIL import Image

from stable_diffusion.errors import RecipeError
from stable_diffusion.recipe import Recipe

RECIPE = Recipe(prompt="a red circle", width=64, height=48)
IMAGE = Image.new("RGB", (64, 48))


def test_the_init_image_is_the_input_of_that_role() -> None:
    assert RECIPE.init_image is None
    recipe = replace(RECIPE, inputs={"init": IMAGE})
    assert recipe.init_image is IMAGE
    assert replace(recipe, seed=1).init_image is IMAGE


def test_inputs_cannot_be_changed_afterwards() -> None:
    inputs = {"init": IMAGE}
    recipe = replace(RECIPE, inputs=inputs)
    inputs.clear()
    assert recipe.init_image is IMAGE
    with pytest.raises(TypeError):
        recipe.inputs["init"] = IMAGE  # type: ignore[index]


def test_an_init_image_of_another_size_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"init_image is \(8, 8\); it must be \(64, 48\)"):
        replace(RECIPE, inputs={"init": Image.new("RGB", (8, 8))})


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(RecipeError, match="no input 'sketch'"):
        replace(RECIPE, inputs={"sketch": IMAGE})


def test_recipes_are_hashable() -> None:
    assert len({RECIPE, replace(RECIPE), replace(RECIPE, seed=1)}) == 2
