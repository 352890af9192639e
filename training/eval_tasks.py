"""The tasks of `make eval`: which pictures they generate, and what they measure in them."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import numpy
from PIL import Image

from training import pixel_checks
from training.eval_prompts import eval_prompts
from training.metrics import Evaluator, Metric, mean, share
from training.scenes import COLOURS, ICONS

BRIGHT = tuple(colour for colour in COLOURS if colour not in ("white", "black"))
SIMPLE = ICONS[:6]
WEIGHTS = (0.6, 1.0, 1.4, 1.8)
SCALES = (1.0, 4.0, 7.5, 12.0)
STRENGTHS = (0.2, 0.4, 0.6, 0.75, 0.9)


def single_objects(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """Colours, backgrounds, icons and number of objects, for prompts with one object."""
    colours: list[bool] = []
    icons: list[bool] = []
    alone: list[bool] = []
    for wanted in eval_prompts(count, seed=77):
        image = evaluator.picture(wanted.prompt, wanted.seed)
        colours.append(
            pixel_checks.background_right(image, wanted.background)
            and pixel_checks.is_coloured(image, wanted.background, wanted.colour)
        )
        icons.append(evaluator.shows(image, wanted.icon))
        alone.append(pixel_checks.object_count(image, wanted.background) == 1)
    yield evaluator.metric("object and background colour right", share(colours), (0.98, 0.95))
    yield evaluator.metric("icon right (classifier)", share(icons), (0.9, 0.8))
    yield evaluator.metric("one object for a prompt with one", share(alone), (0.9, 0.8))


def single_objects_in_few_steps(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """The same of a model that was distilled: its colours may be wrong a little more often."""
    colours, *others = single_objects(evaluator, count)
    yield replace(colours, target=0.95)
    yield from others


def pairs(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """Two objects with different colours on the left and on the right."""
    rng = random.Random(78)
    right: list[bool] = []
    for index in range(count):
        first, second = rng.sample(BRIGHT, 2)
        one, other = rng.sample(SIMPLE, 2)
        prompt = f"one {first} {one} and one {second} {other} on a plain white background"
        image = evaluator.picture(prompt, 6000 + index)
        sides = [
            pixel_checks.main_colour(image, "white", pixel_checks.half(image, s))
            for s in ("left", "right")
        ]
        right.append(sides == [first, second])
    yield evaluator.metric("two objects, colours on their sides", share(right), (0.8, 0.65))


def positions_and_sizes(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """Objects on the left, in the centre, on the right; small and big ones."""
    right: list[bool] = []
    for index in range(count):
        icon = ICONS[index % len(ICONS)]
        side = ("left", "centre", "right")[index % 3]
        words = f"one red {icon} placed on the {side} of a plain white background"
        where, _ = pixel_checks.centre_and_size(evaluator.picture(words, 7000 + index), "white")
        right.append(
            {"left": where < 0.42, "centre": 0.4 < where < 0.6, "right": where > 0.58}[side]
        )
    for index in range(count // 2):
        icon = ICONS[index % len(ICONS)]
        results = [
            evaluator.picture(f"one {size} blue {icon}, plain white background", 7500 + index)
            for size in ("small", "big")
        ]
        small, big = (pixel_checks.centre_and_size(image, "white")[1] for image in results)
        right.append(big > 1.8 * small)
    yield evaluator.metric("left, centre, right; small, big", share(right), (0.9, 0.85))


def emphasis(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """Share of the picture that an emphasised object covers, at four weights."""
    shares: list[float] = []
    for weight in WEIGHTS:
        covered = [
            pixel_checks.colour_share(
                evaluator.picture(
                    f"a red ({ICONS[index % len(ICONS)]}:{weight}) on a white background",
                    8000 + index,
                ),
                "red",
            )
            for index in range(count)
        ]
        shares.append(mean(covered))
        yield evaluator.metric(f"share of the picture of a red (icon:{weight})", shares[-1])
    rises = [after > before for before, after in pairwise(shares)]
    yield evaluator.metric("emphasis: steps at which it rises", share(rises), (1.0, 1.0))
    grown = shares[-1] / max(shares[0], 1e-6)
    yield evaluator.metric("emphasis: last over first", grown, (1.5, 1.5))


def negatives(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """Whether a negative prompt removes a colour that 20 to 50 % of the seeds have without it."""
    icons = ("star", "duck", "tree", "dragon", "cat", "guitar")
    seeds = range(9000, 9000 + max(4, count // len(icons)))
    before: list[bool] = []
    after: list[bool] = []
    for icon in icons:
        prompt = f"a {icon} on a white background"
        plain = [
            pixel_checks.main_colour(evaluator.picture(prompt, seed), "white") for seed in seeds
        ]
        for colour, seen in Counter(plain).most_common():
            if colour and 0.2 <= seen / len(plain) <= 0.5:
                images = (evaluator.picture(prompt, seed, negative_prompt=colour) for seed in seeds)
                after += [pixel_checks.main_colour(image, "white") == colour for image in images]
                before += [found == colour for found in plain]
                break
    yield evaluator.metric("a colour that the prompt does not name (0.2 to 0.5)", share(before))
    name = "the same colour as the negative prompt"
    # without such a colour nothing was measured, which is a miss
    value = share(after) if after else 1.0
    yield evaluator.metric(name, value, (0.05, 0.05), at_most=True)


def scales(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """Prompt fidelity and clean shapes, by guidance scale."""
    for scale in SCALES:
        follows: list[bool] = []
        clean: list[bool] = []
        for wanted in eval_prompts(count, seed=79):
            image = evaluator.picture(wanted.prompt, wanted.seed, scale=scale)
            follows.append(
                pixel_checks.background_right(image, wanted.background)
                and pixel_checks.is_coloured(image, wanted.background, wanted.colour)
                and evaluator.shows(image, wanted.icon)
            )
            clean.append(pixel_checks.object_count(image, wanted.background) == 1)
        yield evaluator.metric(f"scale {scale:g}: colours and icon right", share(follows))
        yield evaluator.metric(f"scale {scale:g}: one whole object", share(clean))


def strengths(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """img2img: distance of the result from its source, and whether a low strength keeps it."""
    distances: list[float] = []
    kept: list[bool] = []
    sources = [
        (index, ICONS[index % len(ICONS)], BRIGHT[index % len(BRIGHT)]) for index in range(count)
    ]
    for strength in STRENGTHS:
        moved: list[float] = []
        for index, icon, colour in sources:
            source = evaluator.picture(f"a {colour} {icon} on a white background", 9500 + index)
            other = BRIGHT[(index + 3) % len(BRIGHT)]
            result = evaluator.picture(
                f"a {other} {ICONS[(index + 5) % len(ICONS)]} on a beach",
                9600 + index,
                inputs={"init": source},
                strength=strength,
            )
            moved.append(_distance(source, result))
            if strength == STRENGTHS[0]:
                kept.append(
                    pixel_checks.main_colour(result, "white")
                    == pixel_checks.main_colour(source, "white")
                    and pixel_checks.background_right(result, "white")
                )
        distances.append(mean(moved))
        name = f"strength {strength:g}: distance to the source (0..1)"
        yield evaluator.metric(name, distances[-1])
    rises = [after > before for before, after in pairwise(distances)]
    yield evaluator.metric("steps at which the distance rises", share(rises), (1.0, 1.0))
    yield evaluator.metric("source kept at the lowest strength", share(kept), (0.9, 0.9))


def blends(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """The prompt with the higher weight wins in a blend, in both orders."""
    right: list[bool] = []
    for index in range(count):
        for prompt, heavier in (
            ("red circle:0.8 blue circle:0.2", "red"),
            ("blue circle:0.2 red circle:0.8", "red"),
            ("red circle:0.2 blue circle:0.8", "blue"),
            ("blue circle:0.8 red circle:0.2", "blue"),
        ):
            image = evaluator.picture(prompt, 9800 + index)
            lighter = {"red": "blue", "blue": "red"}[heavier]
            right.append(
                pixel_checks.colour_share(image, heavier)
                > 1.5 * pixel_checks.colour_share(image, lighter)
            )
    yield evaluator.metric(
        "blend: the colour with more weight wins, both orders", share(right), (0.9, 0.9)
    )


def unknown_words(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """Unknown words change nothing visible."""
    same: list[bool] = []
    distances: list[float] = []
    for wanted in eval_prompts(count, seed=80):
        plain = f"a {wanted.colour} {wanted.icon} on a {wanted.background} background"
        one = evaluator.picture(plain, wanted.seed)
        other = evaluator.picture(f"{plain}, qwertz trending zebra, cinematic, 8k uhd", wanted.seed)
        distances.append(_distance(one, other))
        same.append(
            pixel_checks.main_colour(one, wanted.background)
            == pixel_checks.main_colour(other, wanted.background)
            and evaluator.classifier.name([one]) == evaluator.classifier.name([other])
        )
    yield evaluator.metric("unknown words: same colour and icon", share(same), (0.9, 0.9))
    name = "unknown words: distance to the picture without them (0..1)"
    yield evaluator.metric(name, mean(distances))


def _distance(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of the pixels of two pictures, 0..1."""
    return float(numpy.abs(pixel_checks.pixels(one) - pixel_checks.pixels(other)).mean() / 255)


# Each task with its number of prompts (some tasks use each prompt several times).
EvalTask = tuple[Callable[[Evaluator, int], Iterator[Metric]], int]
EVAL_TASKS: tuple[EvalTask, ...] = (
    (single_objects, 120),
    (pairs, 40),
    (positions_and_sizes, 36),
    (emphasis, 12),
    (negatives, 72),
    (scales, 12),
    (strengths, 8),
    (blends, 5),
    (unknown_words, 10),
)
# Without guidance a negative prompt and a scale change nothing, and the strengths of img2img are
# fewer than those asked for.
FEW_STEP_TASKS: tuple[EvalTask, ...] = tuple(
    (single_objects_in_few_steps if task is single_objects else task, count)
    for task, count in EVAL_TASKS
    if task not in (negatives, scales, strengths)
)
