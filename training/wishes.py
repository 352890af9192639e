"""Prompts of the examination, each with what its picture should show.

They are worded as no training caption is, and hold words the models have never met.
"""

import random
from dataclasses import dataclass

from training.scenes import COLOURS, ICONS, SCENERY

WORDINGS = (
    "{thing} {place}",
    "one {thing}, {place}, clean vector art",
    "Lovely {thing} seen {place}",
    "{place}: a single {thing}, award winning",
)
PLACES = {"beach": "on a sunny beach", "night": "in the dark night", "grass": "standing on grass"}


@dataclass(frozen=True)
class Wish:
    """A prompt and what its picture should show."""

    prompt: str
    icon: str
    colour: str
    background: str
    seed: int


def place_words(background: str) -> str:
    """Where the thing stands, in words that no caption uses."""
    return PLACES.get(background, f"on a plain {background} background")


def wishes(count: int, seed: int) -> list[Wish]:
    """Icons in turn, colours and backgrounds at random, so that every icon is asked as often."""
    rng = random.Random(seed)
    made: list[Wish] = []
    for index in range(count):
        icon = ICONS[index % len(ICONS)]
        background = rng.choice([*COLOURS, *SCENERY, *SCENERY])
        taken = {background, "black" if background == "night" else background}
        # sand, sky and grass are too near to these to be told from them by pixels
        taken |= {"beach": {"yellow", "white"}, "grass": {"green", "white"}}.get(background, set())
        colour = rng.choice([name for name in COLOURS if name not in taken])
        words = WORDINGS[index % len(WORDINGS)]
        prompt = words.format(thing=f"{colour} {icon}", place=place_words(background))
        made.append(Wish(prompt, icon, colour, background, 5000 + index))
    return made
