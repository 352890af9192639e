"""What `make eval` asks of a model that takes a mask: what it draws there, and what it leaves."""

import random
from collections.abc import Iterator

import numpy
from PIL import Image

from training import pixel_checks
from training.drawings import draw
from training.metrics import Evaluator, Metric, mean, share
from training.scenes import COLOURS, ICONS, Scene, Thing


def inpainting(evaluator: Evaluator, count: int) -> Iterator[Metric]:
    """One half of a drawing is masked, and the prompt names one object of another colour."""
    rng = random.Random(81)
    colours: list[bool] = []
    icons: list[bool] = []
    changes: list[float] = []
    for index in range(count):
        background, kept, wanted = rng.sample(list(COLOURS), 3)
        side, other = rng.sample(("left", "right"), 2)
        icon = ICONS[index % len(ICONS)]
        thing = Thing(rng.choice(ICONS), kept, side=other)
        source = drawing(rng, thing, background, evaluator.size)
        result = evaluator.picture(
            f"a {wanted} {icon}",
            9900 + index,
            inputs={"init": source, "mask": half_mask(side, evaluator.size)},
            strength=1.0,
        )
        masked = pixel_checks.half(result, side)
        colours.append(pixel_checks.main_colour(result, background, masked) == wanted)
        icons.append(evaluator.shows(half_of(result, side), icon))
        before, after = (pixel_checks.pixels(image)[~masked] for image in (source, result))
        changes.append(float(numpy.abs(before - after).mean() / 255))
    yield evaluator.metric("inpainting: the masked half has the colour", share(colours), (0.9, 0.8))
    yield evaluator.metric("inpainting: icon right (classifier)", share(icons))
    # a worker puts the pixels of the other half back
    yield evaluator.metric("inpainting: change of the other half (0..1)", mean(changes))


def drawing(rng: random.Random, thing: Thing, background: str, size: int) -> Image.Image:
    """A drawing of one thing in the half that is its side, on a plain background."""
    # the things of a pair fit into a half
    picture = draw(Scene((thing, thing), background), size, size, rng)
    picture.paste(COLOURS[background], half_box("right" if thing.side == "left" else "left", size))
    return picture


def half_box(side: str, size: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of one half, in pixels."""
    return (0, 0, size // 2, size) if side == "left" else (size // 2, 0, size, size)


def half_mask(side: str, size: int) -> Image.Image:
    """A mask of one half, mode L: 255 is drawn anew."""
    mask = Image.new("L", (size, size))
    mask.paste(255, half_box(side, size))
    return mask


def half_of(image: Image.Image, side: str) -> Image.Image:
    """The middle of one half, a square."""
    left, _, right, size = half_box(side, image.width)
    return image.crop((left, size // 4, right, size // 4 + right - left))


INPAINTING_TASKS = ((inpainting, 48),)
