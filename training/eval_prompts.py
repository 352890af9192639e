"""Prompts for the evaluation, each with the expected content of its picture.

No training caption has their wording, and some of their words are unknown to the models.
"""

import random
from dataclasses import dataclass

from training.scenes import COLOURS, ICONS, SCENERY

WORDINGS = (
    "{thing} {where}",
    "one {thing}, {where}, clean vector art",
    "Lovely {thing} seen {where}",
    "{where}: a single {thing}, award winning",
)
BACKGROUND_PHRASES = {
    "beach": "on a sunny beach",
    "night": "in the dark night",
    "grass": "standing on grass",
}


@dataclass(frozen=True)
class EvalPrompt:
    """A prompt and the expected content of its picture."""

    prompt: str
    icon: str
    colour: str
    background: str
    seed: int


def background_phrase(background: str) -> str:
    """A phrase for the background that no training caption uses."""
    return BACKGROUND_PHRASES.get(background, f"on a plain {background} background")


def eval_prompts(count: int, seed: int) -> list[EvalPrompt]:
    """Prompts with each icon equally often, and with random colours and backgrounds."""
    rng = random.Random(seed)
    prompts: list[EvalPrompt] = []
    for index in range(count):
        icon = ICONS[index % len(ICONS)]
        background = rng.choice([*COLOURS, *SCENERY, *SCENERY])
        taken = {background, "black" if background == "night" else background}
        # the pixels of sand, sky and grass are too similar to these colours
        taken |= {"beach": {"yellow", "white"}, "grass": {"green", "white"}}.get(background, set())
        colour = rng.choice([name for name in COLOURS if name not in taken])
        words = WORDINGS[index % len(WORDINGS)]
        prompt = words.format(thing=f"{colour} {icon}", where=background_phrase(background))
        prompts.append(EvalPrompt(prompt, icon, colour, background, 5000 + index))
    return prompts
