"""Renders scenes as pictures, the only training data of the tiny models."""

import random

from PIL import Image, ImageDraw

from training.icons import ICON_DRAWINGS, Brush, Colour, mix
from training.scenes import COLOURS, PAIR_SIDES, PAIR_SIZE, SIDES, SIZES, Scene, Thing

SUPERSAMPLING = 2
# Objects are aligned to the autoencoder's grid of 8 pixels, so that a shape has the same latents at
# every position: far less to learn, and the difference is not visible.
GRID = 8
WHITE: Colour = (250, 250, 250)
GREY: Colour = (188, 188, 188)
STARS = ((0.3, 0.1), (0.5, 0.2), (0.7, 0.08), (0.1, 0.45), (0.9, 0.5), (0.3, 0.9), (0.72, 0.86))


def draw(scene: Scene, width: int, height: int, rng: random.Random) -> Image.Image:
    """The scene as an RGB picture of width x height pixels (multiples of 8)."""
    scale = SUPERSAMPLING
    image = Image.new("RGB", (width * scale, height * scale))
    canvas = ImageDraw.Draw(image)
    _background(canvas, scene, width * scale, height * scale, rng)
    for thing in scene.things:
        _thing(canvas, thing, scene, width, height, rng)
    return image.resize((width, height), Image.Resampling.BOX)


def _faded(colour: Colour, weight: float, towards: Colour) -> Colour:
    """Emphasis as strength of colour: pale at 0.5, slightly soft at 1, full at 2."""
    paleness = 0.6 - 0.48 * weight if weight < 1 else 0.24 - 0.12 * weight
    return mix(colour, towards, min(max(paleness, 0.0), 0.7))


def _background(
    canvas: ImageDraw.ImageDraw, scene: Scene, width: int, height: int, rng: random.Random
) -> None:
    def fill(top: float, bottom: float, colour: Colour) -> None:
        faded = _faded(colour, scene.background_weight, WHITE)
        canvas.rectangle([0, round(top * height), width, round(bottom * height)], fill=faded)

    def disc(x: float, y: float, radius: float, colour: Colour) -> None:
        r = radius * min(width, height)
        canvas.ellipse([x * width - r, y * height - r, x * width + r, y * height + r], fill=colour)

    corner = rng.choice((0.14, 0.86))
    if scene.background == "beach":
        fill(0, 0.5, (150, 212, 246))
        fill(0.5, 0.6875, (24, 120, 178))
        fill(0.6875, 1, (236, 200, 128))
        disc(corner, 0.14, 0.075, (255, 226, 90))
    elif scene.background == "night":
        fill(0, 1, (14, 18, 62))
        disc(corner, 0.15, 0.085, (240, 236, 200))
        for x, y in STARS:
            disc(x, y, 0.016, (240, 236, 210))
    elif scene.background == "grass":
        fill(0, 0.5625, (176, 222, 250))
        fill(0.5625, 1, (94, 178, 60))
        disc(corner, 0.14, 0.075, (255, 226, 90))
    else:
        canvas.rectangle([0, 0, width, height], fill=COLOURS[scene.background])


def thing_box(thing: Thing, scene: Scene, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a thing in pixels, up to 8 pixels beside where it is drawn."""
    x, y, half_side = _place(thing, scene, width, height, (0, 0))
    left, top = round(x - half_side), round(y - half_side)
    return left, top, round(x + half_side), round(y + half_side)


def _on_grid(value: float) -> int:
    return round(value / GRID) * GRID


def _place(
    thing: Thing, scene: Scene, width: int, height: int, jitter: tuple[int, int]
) -> tuple[float, float, float]:
    """The centre of a thing and half of its side, in pixels."""
    pair = len(scene.things) == 2
    share = PAIR_SIZE if pair else SIZES[thing.size]
    # Emphasis on the noun is area: weight 2 covers twice the area of weight 1.
    share = min(share * thing.icon_weight**0.5, 0.5 if pair else 0.94)
    half_side = max(GRID, _on_grid(share * min(width, height)) / 2)
    # An object keeps its share of the shorter side, so wide and tall pictures have more background.
    x = _on_grid((PAIR_SIDES if pair else SIDES)[thing.side] * width) + jitter[0]
    x = min(max(x, half_side + 4), width - half_side - 4)
    ground = 0.9 if scene.background in ("beach", "grass") else 0.5
    y = ground * height - half_side if ground > 0.5 else ground * height
    y = _on_grid(y) + jitter[1]
    return x, min(max(y, half_side + 4), height - half_side - 4), half_side


def _thing(
    canvas: ImageDraw.ImageDraw,
    thing: Thing,
    scene: Scene,
    width: int,
    height: int,
    rng: random.Random,
) -> None:
    jitter = rng.choice((-GRID, 0, GRID)), rng.choice((-GRID, 0, GRID))
    x, y, half_side = _place(thing, scene, width, height, jitter)
    colour = _faded(COLOURS[thing.colour], thing.colour_weight, GREY)
    if thing.colour in ("white", "black") or thing.colour_weight == 1.0:
        colour = COLOURS[thing.colour]
    s = SUPERSAMPLING
    ICON_DRAWINGS[thing.icon](Brush(canvas, x * s, y * s, half_side * s, colour))
