"""What the tiny models are asked, and what counts as an answer. `evaluate` asks it all."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy
from PIL import Image

from training import judge
from training.examiner import Examiner, Figure, mean, share
from training.scenes import COLOURS, ICONS
from training.wishes import wishes

BRIGHT = tuple(colour for colour in COLOURS if colour not in ("white", "black"))
SIMPLE = ICONS[:6]
WEIGHTS = (0.6, 1.0, 1.4, 1.8)
SCALES = (1.0, 4.0, 7.5, 12.0)
STRENGTHS = (0.2, 0.4, 0.6, 0.75, 0.9)


def single_objects(examiner: Examiner, count: int) -> Iterator[Figure]:
    """Colours, backgrounds, icons and the number of objects, of one object a prompt."""
    colours: list[bool] = []
    icons: list[bool] = []
    alone: list[bool] = []
    for wish in wishes(count, seed=77):
        image = examiner.draw(wish.prompt, wish.seed)
        colours.append(
            judge.background_right(image, wish.background)
            and judge.is_coloured(image, wish.background, wish.colour)
        )
        icons.append(examiner.shows(image, wish.icon))
        alone.append(judge.object_count(image, wish.background) == 1)
    yield examiner.figure("object and background colour right", share(colours), (0.98, 0.95))
    yield examiner.figure("icon right (classifier)", share(icons), (0.9, 0.8))
    yield examiner.figure("one object where one was asked", share(alone), (0.9, 0.8))


def pairs(examiner: Examiner, count: int) -> Iterator[Figure]:
    """Two objects, each in its colour on its side."""
    rng = random.Random(78)
    right: list[bool] = []
    for index in range(count):
        first, second = rng.sample(BRIGHT, 2)
        one, other = rng.sample(SIMPLE, 2)
        prompt = f"one {first} {one} and one {second} {other} on a plain white background"
        image = examiner.draw(prompt, 6000 + index)
        sides = [judge.main_colour(image, "white", judge.half(image, s)) for s in ("left", "right")]
        right.append(sides == [first, second])
    yield examiner.figure("two objects, colours on their sides", share(right), (0.8, 0.65))


def places_and_sizes(examiner: Examiner, count: int) -> Iterator[Figure]:
    """Left, centre, right; small, big."""
    right: list[bool] = []
    for index in range(count):
        icon = ICONS[index % len(ICONS)]
        side = ("left", "centre", "right")[index % 3]
        words = f"one red {icon} placed on the {side} of a plain white background"
        where, _ = judge.centre_and_size(examiner.draw(words, 7000 + index), "white")
        right.append(
            {"left": where < 0.42, "centre": 0.4 < where < 0.6, "right": where > 0.58}[side]
        )
    for index in range(count // 2):
        icon = ICONS[index % len(ICONS)]
        drawn = [
            examiner.draw(f"one {size} blue {icon}, plain white background", 7500 + index)
            for size in ("small", "big")
        ]
        small, big = (judge.centre_and_size(image, "white")[1] for image in drawn)
        right.append(big > 1.8 * small)
    yield examiner.figure("left, centre, right; small, big", share(right), (0.9, 0.85))


def emphasis(examiner: Examiner, count: int) -> Iterator[Figure]:
    """Share of the picture that the emphasised thing covers, at four weights."""
    shares: list[float] = []
    for weight in WEIGHTS:
        covered = [
            judge.colour_share(
                examiner.draw(
                    f"a red ({ICONS[index % len(ICONS)]}:{weight}) on a white background",
                    8000 + index,
                ),
                "red",
            )
            for index in range(count)
        ]
        shares.append(mean(covered))
        yield examiner.figure(f"share of the picture of a red (icon:{weight})", shares[-1])
    rises = [after > before for before, after in pairwise(shares)]
    yield examiner.figure("emphasis: weights from which it rises", share(rises), (1.0, 1.0))
    grown = shares[-1] / max(shares[0], 1e-6)
    yield examiner.figure("emphasis: last over first", grown, (1.5, 1.5))


def negatives(examiner: Examiner, count: int) -> Iterator[Figure]:
    """A colour that nobody asked for and that 20 to 50 % of the seeds have: does it go?"""
    icons = ("star", "duck", "tree", "dragon", "cat", "guitar")
    seeds = range(9000, 9000 + max(4, count // len(icons)))
    before: list[bool] = []
    after: list[bool] = []
    for icon in icons:
        prompt = f"a {icon} on a white background"
        plain = [judge.main_colour(examiner.draw(prompt, seed), "white") for seed in seeds]
        for colour, seen in Counter(plain).most_common():
            if colour and 0.2 <= seen / len(plain) <= 0.5:
                drawn = (examiner.draw(prompt, seed, negative_prompt=colour) for seed in seeds)
                after += [judge.main_colour(image, "white") == colour for image in drawn]
                before += [one == colour for one in plain]
                break
    yield examiner.figure("a colour nobody asked for (0.2 to 0.5)", share(before))
    name = "that colour with it as negative prompt"
    # where no colour could be tried, nothing was shown
    value = share(after) if after else 1.0
    yield examiner.figure(name, value, (0.05, 0.05), at_most=True)


def scales(examiner: Examiner, count: int) -> Iterator[Figure]:
    """How closely the picture follows the prompt, and how clean it stays, by guidance scale."""
    for scale in SCALES:
        follows: list[bool] = []
        clean: list[bool] = []
        for wish in wishes(count, seed=79):
            image = examiner.draw(wish.prompt, wish.seed, scale=scale)
            follows.append(
                judge.background_right(image, wish.background)
                and judge.is_coloured(image, wish.background, wish.colour)
                and examiner.shows(image, wish.icon)
            )
            clean.append(judge.object_count(image, wish.background) == 1)
        yield examiner.figure(f"scale {scale:g}: colours and icon right", share(follows))
        yield examiner.figure(f"scale {scale:g}: one whole object", share(clean))


def strengths(examiner: Examiner, count: int) -> Iterator[Figure]:
    """img2img: how far the result is from its source, and whether a weak one keeps it."""
    distances: list[float] = []
    kept: list[bool] = []
    sources = [
        (index, ICONS[index % len(ICONS)], BRIGHT[index % len(BRIGHT)]) for index in range(count)
    ]
    for strength in STRENGTHS:
        moved: list[float] = []
        for index, icon, colour in sources:
            source = examiner.draw(f"a {colour} {icon} on a white background", 9500 + index)
            other = BRIGHT[(index + 3) % len(BRIGHT)]
            result = examiner.draw(
                f"a {other} {ICONS[(index + 5) % len(ICONS)]} on a beach",
                9600 + index,
                inputs={"init": source},
                strength=strength,
            )
            moved.append(_distance(source, result))
            if strength == STRENGTHS[0]:
                kept.append(
                    judge.main_colour(result, "white") == judge.main_colour(source, "white")
                    and judge.background_right(result, "white")
                )
        distances.append(mean(moved))
        name = f"strength {strength:g}: distance to the source (0..1)"
        yield examiner.figure(name, distances[-1])
    rises = [after > before for before, after in pairwise(distances)]
    yield examiner.figure("strengths from which the distance rises", share(rises), (1.0, 1.0))
    yield examiner.figure("source kept at the weakest strength", share(kept), (0.9, 0.9))


def blends(examiner: Examiner, count: int) -> Iterator[Figure]:
    """The heavier of two blended prompts wins, whichever stands first."""
    right: list[bool] = []
    for index in range(count):
        for prompt, heavier in (
            ("red circle:0.8 blue circle:0.2", "red"),
            ("blue circle:0.2 red circle:0.8", "red"),
            ("red circle:0.2 blue circle:0.8", "blue"),
            ("blue circle:0.8 red circle:0.2", "blue"),
        ):
            image = examiner.draw(prompt, 9800 + index)
            lighter = {"red": "blue", "blue": "red"}[heavier]
            right.append(
                judge.colour_share(image, heavier) > 1.5 * judge.colour_share(image, lighter)
            )
    yield examiner.figure("blend: the heavier colour wins, both orders", share(right), (0.9, 0.9))


def unknown_words(examiner: Examiner, count: int) -> Iterator[Figure]:
    """Words the model never saw change nothing that can be seen."""
    same: list[bool] = []
    distances: list[float] = []
    for wish in wishes(count, seed=80):
        plain = f"a {wish.colour} {wish.icon} on a {wish.background} background"
        one = examiner.draw(plain, wish.seed)
        other = examiner.draw(f"{plain}, qwertz trending zebra, cinematic, 8k uhd", wish.seed)
        distances.append(_distance(one, other))
        same.append(
            judge.main_colour(one, wish.background) == judge.main_colour(other, wish.background)
            and examiner.classifier.name([one]) == examiner.classifier.name([other])
        )
    yield examiner.figure("unknown words: same colour and icon", share(same), (0.9, 0.9))
    name = "unknown words: distance to the picture without (0..1)"
    yield examiner.figure(name, mean(distances))


def _distance(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures' pixels, 0..1."""
    return float(numpy.abs(judge.pixels(one) - judge.pixels(other)).mean() / 255)


# Each examination with the number of prompts it asks (some ask each several times).
EXAMINATIONS: tuple[tuple[Callable[[Examiner, int], Iterator[Figure]], int], ...] = (
    (single_objects, 120),
    (pairs, 40),
    (places_and_sizes, 36),
    (emphasis, 12),
    (negatives, 72),
    (scales, 12),
    (strengths, 8),
    (blends, 5),
    (unknown_words, 10),
)
