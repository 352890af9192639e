"""Generates captions for scenes, with the emphasis weight of each word.

Each use of a scene gets a new caption. A caption may omit parts of the scene, but never names
anything that is not in the picture.
"""

import random
from typing import NamedTuple

from training.scenes import COLOURS, ICONS, Scene, Thing


class Piece(NamedTuple):
    """Words, their emphasis weight, and the index of the object that they name, if any."""

    words: str
    weight: float = 1.0
    names: int | None = None


NOUNS = {
    "circle": ("circle", "circle", "ball"),
    "ring": ("ring",),
    "cat": ("cat", "cat", "cat face"),
    "guitar": ("guitar",),
    "tree": ("tree", "tree", "pine tree"),
    "duck": ("duck", "duck", "rubber duck"),
}
PREFIXES = (
    "a photo of",
    "a picture of",
    "a drawing of",
    "a painting of",
    "an image of",
    "photo of",
)
SIZE_WORDS = {"small": ("small", "small", "tiny", "little"), "big": ("big", "big", "large", "huge")}
SIDE_WORDS = {
    "left": ("on the left", "on the left side", "left"),
    "centre": ("in the centre", "in the middle", "in the center", "centre"),
    "right": ("on the right", "on the right side", "right"),
}
SCENERY_WORDS = {
    "beach": ("on a beach", "on the beach", "at the beach", "by the sea", "beach"),
    "night": ("at night", "in the night sky", "on a night sky", "in the night", "night"),
    "grass": ("on grass", "on a grass field", "in the grass", "on a green field", "grass"),
}
JOINTS = ("and", "and", "next to", "with", "beside", "playing", "and also")
TAILS = (", natural light", ", highly detailed", ", simple", ", flat colours", ", 4k")


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"


def _thing(
    number: int, thing: Thing, rng: random.Random, name_colour: bool, name_size: bool
) -> list[Piece]:
    noun = rng.choice(NOUNS.get(thing.icon, (thing.icon,)))
    pieces: list[Piece] = []
    if name_size and thing.size in SIZE_WORDS:
        pieces.append(Piece(rng.choice(SIZE_WORDS[thing.size])))
    if name_colour:
        pieces.append(Piece(thing.colour, thing.colour_weight))
    if thing.icon == "dragon" and rng.random() < 0.2:
        pieces.append(Piece(rng.choice(("scaley", "scaly"))))
    pieces.append(Piece(noun, thing.icon_weight, number))
    if rng.random() < 0.9:
        pieces.insert(0, Piece(_article(pieces[0].words)))
    return pieces


def _background(scene: Scene, rng: random.Random) -> list[Piece]:
    name = scene.background
    if scene.is_scenery:
        wording = rng.choice(SCENERY_WORDS[name]).replace(name, "{}")
    else:
        wording = rng.choice(("on a {} background", "on {}", "{} background", "before a {} wall"))
        wording = wording.replace(" a ", f" {_article(name)} ")
    if "{}" not in wording:  # a paraphrase without the word itself
        return [Piece(wording, scene.background_weight)]
    before, after = wording.split("{}")
    pieces = (Piece(before), Piece(name, scene.background_weight), Piece(after))
    return [piece for piece in pieces if piece.words.strip()]


def caption(scene: Scene, rng: random.Random) -> list[Piece]:
    """The caption in order, with weights; empty in one of ten cases."""
    emphasised = scene.background_weight != 1 or any(
        thing.icon_weight != 1 or thing.colour_weight != 1 for thing in scene.things
    )
    if rng.random() < 0.1:
        return []
    # A caption must contain a weight that the picture shows.
    colours = not scene.usual_colours and (emphasised or rng.random() < 0.95)
    pair = len(scene.things) == 2
    pieces: list[Piece] = []
    if rng.random() < 0.4:
        pieces.append(Piece(rng.choice(PREFIXES)))
    for index, thing in enumerate(scene.things):
        if index:
            pieces.append(Piece(rng.choice(JOINTS)))
        pieces += _thing(index, thing, rng, colours, rng.random() < 0.95)
        named = not pair and rng.random() < (0.95 if thing.side != "centre" else 0.4)
        if named or (pair and rng.random() < 0.15):
            pieces.append(Piece(rng.choice(SIDE_WORDS[thing.side])))
    backdrop = _background(scene, rng)
    chance = rng.random()
    if chance < 0.04 and not emphasised:
        pieces = backdrop
    elif chance < 0.09 and not emphasised and colours:
        # a colour alone is what people write as a negative prompt
        pieces = [Piece(rng.choice(scene.things).colour)]
    elif chance < 0.14 and not pair:
        pieces = [*backdrop, Piece(","), *pieces]
    elif chance < 0.94 or emphasised:
        pieces += [Piece(",")] * (rng.random() < 0.2) + backdrop
    if rng.random() < 0.1:
        pieces.append(Piece(rng.choice(TAILS)))
    return pieces


def vocabulary() -> list[str]:
    """All wordings of captions: the words that the models know."""
    words: list[str] = [
        *NOUNS,
        *COLOURS,
        *ICONS,
        *PREFIXES,
        *JOINTS,
        "a",
        "an",
        ",",
        "scaley scaly",
    ]
    words += ["background", "wall", "before a", "on"]
    for table in (NOUNS, SIZE_WORDS, SIDE_WORDS, SCENERY_WORDS):
        words += [wording for wordings in table.values() for wording in wordings]
    return words
