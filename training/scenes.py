"""Descriptions of training pictures.

`drawings.draw` renders a scene and `captions.caption` describes it; both read the same fields, so
a caption never names anything that is not in the picture.
"""

import random
from dataclasses import dataclass

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 26, 30),
    "orange": (248, 136, 24),
    "yellow": (250, 222, 34),
    "green": (34, 158, 58),
    "blue": (32, 78, 214),
    "purple": (132, 40, 158),
    "pink": (254, 138, 190),
    "white": (246, 246, 246),
    "black": (16, 16, 18),
    "brown": (112, 66, 34),
}
# The most frequent colour of an icon when the caption names none. It is not the only one, so that a
# negative prompt has an effect.
USUAL_COLOUR = {
    "circle": "red",
    "square": "blue",
    "triangle": "purple",
    "star": "yellow",
    "heart": "pink",
    "ring": "orange",
    "cat": "orange",
    "duck": "yellow",
    "dragon": "green",
    "guitar": "brown",
    "house": "white",
    "tree": "green",
}
# Guidance amplifies the most frequent colour: 20 % become 80 %.
USUAL_SHARE = 0.08
ICONS = tuple(USUAL_COLOUR)
SCENERY = ("beach", "night", "grass")
# Side of the object as a share of the shorter side of the picture.
SIZES = {"small": 0.3, "medium": 0.5, "big": 0.72}
PAIR_SIZE = 0.42
# Centre of the object as a share of the picture's width.
SIDES = {"left": 0.27, "centre": 0.5, "right": 0.73}
PAIR_SIDES = {"left": 0.25, "right": 0.75}


@dataclass(frozen=True)
class Thing:
    """One object. The weights are the emphasis of its words in the caption."""

    icon: str
    colour: str
    side: str = "centre"
    size: str = "medium"
    icon_weight: float = 1.0
    colour_weight: float = 1.0


@dataclass(frozen=True)
class Scene:
    """One or two objects (the first on the left) on a plain colour or a scenery."""

    things: tuple[Thing, ...]
    background: str
    background_weight: float = 1.0
    usual_colours: bool = False  # the caption must not name the colours

    @property
    def is_scenery(self) -> bool:
        return self.background in SCENERY

    @property
    def is_simple(self) -> bool:
        """One object of medium size without emphasis: shapes are learned on these first."""
        (thing, *others) = self.things
        weights = {self.background_weight, thing.icon_weight, thing.colour_weight}
        return not others and thing.size == "medium" and weights == {1.0}


def _weight(rng: random.Random, weighted: bool) -> float:
    """Emphasis for a word: 0.5 to 2, below 1 as often as above."""
    return round(2 ** rng.uniform(-1, 1), 2) if weighted else 1.0


def _thing_colour(rng: random.Random, icon: str, background: str, usual: bool) -> str:
    choices = [name for name in COLOURS if name != background]
    if background == "night":
        choices.remove("black")
    if usual and USUAL_COLOUR[icon] in choices and rng.random() < USUAL_SHARE:
        return USUAL_COLOUR[icon]
    return rng.choice(choices)


def random_scene(rng: random.Random, *, pairs: float = 0.42, weighted: float = 0.3) -> Scene:
    """A random scene.

    Args:
        pairs: share of scenes with two objects.
        weighted: share of scenes in which one word has an emphasis other than 1.
    """
    scenery = rng.random() < 0.5
    background = rng.choice(SCENERY) if scenery else rng.choice(list(COLOURS))
    usual = rng.random() < 0.2
    emphasised = rng.choice(("icon", "colour", "background")) if rng.random() < weighted else ""
    if emphasised and rng.random() < 0.5:
        emphasised = "icon"
    count = 2 if rng.random() < pairs else 1
    things: list[Thing] = []
    for index in range(count):
        icon = rng.choice(ICONS)
        colour = _thing_colour(rng, icon, background, usual)
        chosen = index == 0 or rng.random() < 0.5
        things.append(
            Thing(
                icon,
                colour,
                side=("left", "right")[index] if count == 2 else _side(rng),
                size="medium" if count == 2 else _size(rng),
                icon_weight=_weight(rng, emphasised == "icon" and chosen),
                colour_weight=_weight(rng, emphasised == "colour" and chosen and not usual),
            )
        )
    weight = _weight(rng, emphasised == "background" and scenery)
    return Scene(tuple(things), background, weight, usual)


def _side(rng: random.Random) -> str:
    return rng.choices(("left", "centre", "right"), (0.25, 0.5, 0.25))[0]


def _size(rng: random.Random) -> str:
    return rng.choices(("small", "medium", "big"), (0.22, 0.56, 0.22))[0]
