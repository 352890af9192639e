"""Pictures of edited and composed prompts: what a prompt says at each step is what is drawn."""

from dataclasses import replace

import numpy
import pytest
from PIL import Image

from stable_diffusion.errors import PromptError
from stable_diffusion.generate import describe, generate
from stable_diffusion.model import Model
from stable_diffusion.prompt.grammar import read_prompt
from stable_diffusion.recipe import Recipe

pytestmark = pytest.mark.heavy

SMALL = Recipe(prompt="", width=64, height=64, steps=4, seed=9, sampler="k_euler")


def recipe(prompt: str, negative: str = "", **changes: object) -> Recipe:
    return replace(
        SMALL,
        prompt=read_prompt(prompt, "a1111"),
        negative_prompt=read_prompt(negative, "a1111", negative=True),
        **changes,
    )


def drawn(model: Model, prompt: str, negative: str = "", **changes: object) -> bytes:
    return next(generate(model, recipe(prompt, negative, **changes))).image.tobytes()


def difference(one: bytes, other: bytes) -> int:
    return int(abs(numpy.frombuffer(one, "u1").astype(int) - numpy.frombuffer(other, "u1")).max())


def test_editing_draws_neither_of_its_two_prompts(tiny: Model) -> None:
    red, blue = drawn(tiny, "red circle"), drawn(tiny, "blue circle")
    pictures = {red, blue, drawn(tiny, "[red:blue:0.5] circle"), drawn(tiny, "[red|blue] circle")}
    assert len(pictures) == 4
    assert drawn(tiny, "[red:blue:2] circle") == drawn(tiny, "[red:blue:0.5] circle")
    assert drawn(tiny, "[red:blue:1.0] circle") == red
    assert drawn(tiny, "[red:blue:0] circle") == blue
    assert (
        drawn(tiny, "red circle", steps=4)
        == next(generate(tiny, replace(SMALL, prompt="red circle"))).image.tobytes()
    )


def test_the_colour_of_a_shape_is_that_of_the_later_steps(tiny: Model) -> None:
    def colour(prompt: str) -> Image.Image:
        made = recipe(prompt, steps=12, width=128, height=128, sampler="ddim")
        image = next(generate(tiny, made)).image
        return image.crop((48, 48, 80, 80)).resize((1, 1), Image.Resampling.BOX)

    red, green, blue = colour("a [blue:red:0.2] circle on a white background").getpixel((0, 0))  # pyright: ignore[reportGeneralTypeIssues]
    assert red > blue + 40
    assert red > green + 40


def test_a_negative_prompt_can_be_edited_too(tiny: Model) -> None:
    plain, other = drawn(tiny, "circle", "red"), drawn(tiny, "circle", "blue")
    edited = drawn(tiny, "circle", "[red:blue:0.5]")
    assert len({plain, other, edited}) == 3


def test_a_composition_is_not_the_sentence(tiny: Model) -> None:
    both = drawn(tiny, "a red circle AND a blue square")
    assert both != drawn(tiny, "a red circle a blue square")
    assert both != drawn(tiny, "a red circle AND a blue square:0.5")


def test_weights_of_a_composition_add_up(tiny: Model) -> None:
    circle = drawn(tiny, "a red circle", precision="full")
    for prompt in (
        "a red circle :0.5 AND a red circle :0.5",
        "a red circle AND a blue square :0",
    ):
        assert difference(drawn(tiny, prompt, precision="full"), circle) <= 2
    twice = drawn(tiny, "a red circle:2", guidance_scale=2.0)
    assert difference(twice, drawn(tiny, "a red circle", guidance_scale=4.0)) <= 2


@pytest.mark.parametrize("scale", [7.5, 1.0])
@pytest.mark.parametrize("unet_batch", [None, 1, 4])
def test_a_picture_is_the_same_alone_and_in_a_batch(
    tiny: Model, scale: float, unet_batch: int | None
) -> None:
    prompt = "a [red|blue] circle AND a [square:tree:0.5] :0.6"
    changes = {"guidance_scale": scale, "unet_batch": unet_batch}
    batch = recipe(prompt, batch_size=2, **changes)
    together = [picture.image.tobytes() for picture in generate(tiny, batch)]
    assert together == [drawn(tiny, prompt, seed=seed, **changes) for seed in (9, 10)]


def test_prompts_of_different_length_are_edited_and_composed(tiny: Model) -> None:
    long = "a [cat:dog BREAK in a garden:0.5] AND fog"
    assert drawn(tiny, long) != drawn(tiny, "a cat AND fog")
    described = describe(tiny, recipe(long))
    assert described["prompt"]["chunks"] == 2  # pyright: ignore[reportIndexIssue]


def test_progress_counts_one_evaluation_a_step(tiny: Model) -> None:
    seen: list[int] = []
    list(
        generate(
            tiny, recipe("a AND b AND c"), lambda evaluation: seen.append(evaluation.evaluation)
        )
    )
    assert seen == [1, 2, 3, 4]


def test_a_composed_negative_prompt_is_refused(tiny: Model) -> None:
    composed = read_prompt("a AND b", "a1111")
    with pytest.raises(PromptError, match="negative prompt cannot be composed"):
        list(generate(tiny, replace(SMALL, prompt="a", negative_prompt=composed)))
