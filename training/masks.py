"""Random masks over scenes: what a person paints over, and the caption of what comes there."""

import random
from dataclasses import replace

from PIL import Image, ImageDraw

from training.captions import SIDE_WORDS, Piece, caption
from training.drawings import PAIR_SIZE, thing_box
from training.scenes import Scene

WHOLE = 0.08
"""Share of masks over the whole picture: without any of it the model generates as before."""
INSIDE = 0.8
"""Share of a thing that a mask must cover for the caption to name it."""
ONLY_INSIDE = 0.6
"""Share of captions that leave out what is not masked, as people write them."""
SIDELESS = 0.6
"""Share of those that do not say on which side the thing is."""
_SIDES = frozenset(words for wordings in SIDE_WORDS.values() for words in wordings)


def random_mask(scene: Scene, width: int, height: int, rng: random.Random) -> Image.Image:
    """A mask of width x height pixels, mode L: 255 is drawn anew."""
    mask = Image.new("L", (width, height))
    canvas = ImageDraw.Draw(mask)
    kind = rng.random()
    if kind < WHOLE:
        canvas.rectangle([0, 0, width, height], fill=255)
    elif kind < 0.4:
        _half(canvas, width, height, rng)
    elif kind < 0.8:
        _around_a_thing(canvas, scene, width, height, rng)
    else:
        _strokes(canvas, width, height, rng)
    return mask


def masked_caption(scene: Scene, mask: Image.Image, rng: random.Random) -> list[Piece]:
    """The caption of a scene, or of the things under the mask alone; empty if there are none."""
    inside = tuple(
        thing
        for thing in scene.things
        if _covered(mask, thing_box(thing, scene, *mask.size)) >= INSIDE
    )
    if not inside:
        return []
    if len(inside) == len(scene.things) or rng.random() >= ONLY_INSIDE:
        return caption(scene, rng)
    pieces = caption(replace(scene, things=inside), rng)
    if rng.random() < SIDELESS:
        # where it comes is where the mask is
        pieces = [piece for piece in pieces if piece.words not in _SIDES]
    return pieces


def _half(canvas: ImageDraw.ImageDraw, width: int, height: int, rng: random.Random) -> None:
    """From one edge to about the middle."""
    x, y = round(rng.uniform(0.4, 0.6) * width), round(rng.uniform(0.3, 0.7) * height)
    boxes = [(0, 0, x, height), (x, 0, width, height)] * 3 + [
        (0, 0, width, y),
        (0, y, width, height),
    ]
    canvas.rectangle(rng.choice(boxes), fill=255)


def _around_a_thing(
    canvas: ImageDraw.ImageDraw, scene: Scene, width: int, height: int, rng: random.Random
) -> None:
    """A rectangle or an ellipse that holds a thing."""
    left, top, right, bottom = thing_box(rng.choice(scene.things), scene, width, height)
    shape = rng.choice((canvas.rectangle, canvas.ellipse))
    # an ellipse is larger than the rectangle within it by √2
    margin = 0.25 if shape == canvas.ellipse else 0.08
    reach = rng.uniform(margin, margin + PAIR_SIZE) * (right - left)
    shape((left - reach, top - reach, right + reach, bottom + reach), fill=255)


def _strokes(canvas: ImageDraw.ImageDraw, width: int, height: int, rng: random.Random) -> None:
    """A few thick strokes, as of a brush."""
    shorter = min(width, height)
    for _ in range(rng.randint(1, 3)):
        brush = round(rng.uniform(0.1, 0.35) * shorter)
        points = [(rng.random() * width, rng.random() * height) for _ in range(rng.randint(2, 4))]
        canvas.line(points, fill=255, width=brush, joint="curve")
        for x, y in points:
            canvas.ellipse((x - brush / 2, y - brush / 2, x + brush / 2, y + brush / 2), fill=255)


def _covered(mask: Image.Image, box: tuple[int, int, int, int]) -> float:
    """The masked share of a box."""
    return mask.crop(box).histogram()[255] / max(1, (box[2] - box[0]) * (box[3] - box[1]))
