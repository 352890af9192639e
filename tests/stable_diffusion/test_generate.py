"""What a user may rely on: seeds, batches, progress, stopping, and diffusers' own answer."""

from dataclasses import replace

import numpy
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from PIL import Image

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.errors import PromptError, RecipeError, UnknownSampler
from stable_diffusion.generate import Evaluation, describe, generate
from stable_diffusion.image import to_tensor
from stable_diffusion.model import Model
from stable_diffusion.prompt.conditioning import encode_prompts
from stable_diffusion.prompt.grammar import read_prompt
from stable_diffusion.recipe import Recipe
from stable_diffusion.samplers import SAMPLERS
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.stopwatch import Stopwatch

pytestmark = pytest.mark.heavy

# Samplers of one solver differ in their levels only, which samplers/test_schedulers.py compares.
SOLVERS = [key for key in SAMPLERS if not key.endswith("_ka")]
SMALL = Recipe(prompt="a red circle on a blue background", width=64, height=64, steps=4, seed=9)


def _pictures(model: Model, recipe: Recipe) -> list[bytes]:
    return [picture.image.tobytes() for picture in generate(model, recipe)]


@pytest.mark.parametrize(
    ("sampler", "precision"),
    [("ddim", "full"), ("k_euler_a", "autocast"), ("k_dpmpp_sde_ka", "full")],
)
def test_a_seed_gives_one_picture_alone_in_a_batch_and_in_iterations(
    tiny: Model, sampler: str, precision: str
) -> None:
    recipe = replace(SMALL, sampler=sampler, eta=0.5, precision=precision, guidance_scale=2.0)
    alone = [_pictures(tiny, replace(recipe, seed=9 + i))[0] for i in range(4)]
    assert _pictures(tiny, replace(recipe, batch_size=4)) == alone
    assert _pictures(tiny, replace(recipe, iterations=2, batch_size=2)) == alone
    assert len(set(alone)) == 4


def test_steps_chosen_by_the_error_do_not_depend_on_the_batch(tiny: Model) -> None:
    # with little guidance, for which DPM adaptive takes half as many evaluations
    recipe = replace(SMALL, sampler="k_dpm_ad", eta=0.5, precision="autocast", guidance_scale=2.0)
    alone = [_pictures(tiny, replace(recipe, seed=9 + i))[0] for i in range(2)]
    assert _pictures(tiny, replace(recipe, batch_size=2)) == alone
    assert len(set(alone)) == 2


def test_pictures_tell_their_place_and_their_seed(tiny: Model) -> None:
    made = list(generate(tiny, replace(SMALL, iterations=2, batch_size=2)))
    assert [(picture.index, picture.seed) for picture in made] == [
        (0, 9),
        (1, 10),
        (2, 11),
        (3, 12),
    ]


def test_fixed_code_starts_every_picture_from_the_same_noise(tiny: Model) -> None:
    recipe = replace(SMALL, fixed_code=True, iterations=2, batch_size=2)
    assert len(set(_pictures(tiny, recipe))) == 1
    assert _pictures(tiny, recipe)[0] == _pictures(tiny, SMALL)[0]


@pytest.mark.parametrize("sampler", SOLVERS)
def test_progress_rises_with_every_evaluation_and_ends_at_one(tiny: Model, sampler: str) -> None:
    seen: list[Evaluation] = []
    # an evaluation counts once, guided or not, and costs less without guidance
    recipe = replace(SMALL, sampler=sampler, iterations=2, batch_size=2, guidance_scale=1.0)
    list(generate(tiny, recipe, seen.append))
    fractions = [evaluation.fraction for evaluation in seen]
    assert fractions == sorted(fractions)
    assert all(0 < fraction <= 1 for fraction in fractions)
    if SAMPLERS[sampler].row.exact:
        assert fractions[-1] == 1
        assert len(set(fractions)) == len(fractions)


def test_a_job_stops_at_the_evaluation_that_is_told_to(tiny: Model) -> None:
    class Cancelled(Exception):
        pass

    count = 0

    def cancel_at_the_third(_evaluation: Evaluation) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        list(generate(tiny, replace(SMALL, steps=20), cancel_at_the_third))
    assert count == 3


def test_our_pictures_are_those_of_diffusers_own_pipeline(tiny: Model) -> None:
    recipe = replace(SMALL, width=128, height=96, steps=10, precision="full")
    pipeline = StableDiffusionPipeline(
        vae=tiny.networks.full_vae,
        text_encoder=tiny.networks.text,
        tokenizer=None,  # type: ignore[arg-type]
        unet=tiny.networks.unet,
        scheduler=DDIMScheduler(  # type: ignore[arg-type]
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ),
        safety_checker=None,  # type: ignore[arg-type]
        feature_extractor=None,  # type: ignore[arg-type]
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    positive, negative = encode_prompts((recipe.prompt, "a tree"), tiny.tokenizer, tiny.encode_text)
    theirs = pipeline(
        prompt_embeds=positive.context,
        negative_prompt_embeds=negative.context,
        latents=NoiseSource([recipe.seed], (4, 12, 16)).initial(),
        width=128,
        height=96,
        num_inference_steps=10,
        guidance_scale=7.5,
    ).images[0]  # type: ignore[union-attr]
    (ours,) = generate(tiny, replace(recipe, negative_prompt="a tree"))
    difference = (to_tensor(theirs) - to_tensor(ours.image)).abs()
    assert difference.max() <= 2 / 127.5


def _distance(a: Image.Image, b: Image.Image) -> float:
    return float((to_tensor(a) - to_tensor(b)).square().mean())


def test_more_strength_leaves_less_of_the_source(tiny: Model) -> None:
    source = Image.new("RGB", (128, 128), (246, 246, 246))
    source.paste((32, 78, 214), (32, 32, 96, 96))
    recipe = Recipe(
        prompt="a red circle on a yellow background",
        width=128,
        height=128,
        steps=20,
        inputs={"init": source},
    )
    distances = []
    for strength in (0.05, 0.5, 1.0):
        (made,) = generate(tiny, replace(recipe, strength=strength))
        distances.append(_distance(made.image, source))
    assert distances[0] < 0.05
    assert distances[0] < distances[1] < distances[2]


def test_at_full_strength_nothing_of_the_source_is_left(tiny: Model) -> None:
    black = replace(SMALL, inputs={"init": Image.new("RGB", (64, 64))}, strength=1.0)
    white = replace(SMALL, inputs={"init": Image.new("RGB", (64, 64), "white")}, strength=1.0)
    assert _pictures(tiny, black) == _pictures(tiny, white) == _pictures(tiny, SMALL)


def test_a_job_tells_what_its_prompt_meant_and_how_many_steps_ran(tiny: Model) -> None:
    init = Image.new("RGB", (64, 64))
    told = describe(tiny, replace(SMALL, prompt="a ((cat))", inputs={"init": init}, strength=0.5))
    assert told["executed_steps"] == 2
    assert told["model"] == "tiny"
    assert "1.21" in str(told["prompt"])


@pytest.mark.parametrize(
    "fault",
    [
        {"width": 63},
        {"height": 0},
        {"steps": 0},
        {"batch_size": 0},
        {"strength": 0.0},
        {"strength": 1.5},
        {"inputs": {"init": Image.new("RGB", (8, 8))}},
    ],
    ids=" ".join,
)
def test_a_recipe_that_cannot_be_made_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        replace(SMALL, **fault)


def test_an_unknown_sampler_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownSampler, match="k_euler_a"):
        replace(SMALL, sampler="euler_b")


def test_a_prompt_that_cannot_be_read_is_refused(tiny: Model) -> None:
    with pytest.raises(PromptError):
        list(generate(tiny, replace(SMALL, prompt="(cat:1.2.3)")))


@pytest.mark.parametrize("sampler", SOLVERS)
def test_every_sampler_draws_the_same_scene(tiny: Model, sampler: str) -> None:
    recipe = Recipe(prompt="a red circle on a blue background", width=128, height=128, steps=15)
    (picture,) = generate(tiny, replace(recipe, sampler=sampler))
    pixels = numpy.asarray(picture.image, dtype=float)
    edge = numpy.concatenate([pixels[:8].reshape(-1, 3), pixels[-8:].reshape(-1, 3)])
    red, _green, blue = edge.mean(0)
    assert blue > red + 60
    reds = (pixels[..., 0] > pixels[..., 2] + 60).mean()
    assert 0.02 < reds < 0.7


def test_evaluations_leave_no_gradient_behind(tiny: Model) -> None:
    assert not tiny.predict(
        torch.zeros(1, 4, 8, 8), torch.zeros(1), Conditioning(torch.zeros(1, 77, 48))
    ).requires_grad


def latents_at_once(model: Model, **changes: object) -> tuple[set[int], list[Image.Image]]:
    """How many latents the UNet saw at once, and the two pictures that came of them."""
    seen: set[int] = set()
    hook = model.networks.unet.register_forward_pre_hook(lambda _, args: seen.add(len(args[0])))
    recipe = Recipe(prompt="a red cat", width=64, height=64, steps=2, batch_size=2)
    try:
        return seen, [picture.image for picture in generate(model, replace(recipe, **changes))]
    finally:
        hook.remove()


def test_a_large_unet_sees_no_more_latents_at_once_than_asked_for(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stable_diffusion.families.family._SMALL_CHANNELS", 0)
    pictures: dict[int | None, list[Image.Image]] = {}
    for at_once, sizes in ((None, {1}), (1, {1}), (4, {4}), (3, {3, 1})):
        seen, pictures[at_once] = latents_at_once(tiny, unet_batch=at_once)
        assert seen == sizes
    assert pictures[None] == pictures[1]
    for one, other in zip(pictures[1], pictures[4], strict=True):
        difference = numpy.asarray(one, float) - numpy.asarray(other, float)
        assert abs(difference).max() <= 8


def test_a_small_unet_sees_both_latents_of_a_picture_at_once(tiny: Model) -> None:
    for at_once, sizes in ((None, {2}), (1, {2}), (4, {4}), (3, {2})):
        assert latents_at_once(tiny, unet_batch=at_once)[0] == sizes
    # without guidance a picture has one latent, and two pictures never go together unasked
    assert latents_at_once(tiny, guidance_scale=1)[0] == {1}
    assert latents_at_once(tiny, guidance_scale=1, unet_batch=2)[0] == {2}


def test_the_phases_of_a_picture_are_timed_apart(tiny: Model) -> None:
    watch = Stopwatch()
    recipe = Recipe(prompt="a red cat", width=64, height=64, steps=2)
    list(generate(tiny, recipe, stopwatch=watch))
    assert set(watch.seconds) == {"encode", "sample", "decode"}
    assert all(seconds > 0 for seconds in watch.seconds.values())


def test_a_parsed_prompt_gives_the_picture_of_its_text(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, prompt="a (red:1.4) circle:3 blue square:1", negative_prompt="green")
    expected = _pictures(tiny, recipe), describe(tiny, recipe)
    parsed = replace(
        recipe, prompt=read_prompt(recipe.prompt), negative_prompt=read_prompt("green")
    )
    monkeypatch.setattr("stable_diffusion.prompt.grammar.parse_blend", None)
    assert (_pictures(tiny, parsed), describe(tiny, parsed)) == expected
