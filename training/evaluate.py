"""`make eval`: asks the shipped model for pictures and says how many show what was asked.

Prompts are worded as no training caption is, and seeds are the examination's own. Prints one line
a figure and writes them all to eval.json.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

from stable_diffusion.generate import generate
from stable_diffusion.model import Model, load_model
from stable_diffusion.recipe import Recipe
from stable_diffusion.tiny import PATH
from training import judge
from training.classifier import IconClassifier, taught_classifier
from training.scenes import COLOURS, ICONS, SCENERY, USUAL_COLOUR

STEPS = 25
SCALE = 7.5
# Wordings that no caption of `captions` takes, with words the model has never met.
WORDINGS = (
    "{thing} {place}",
    "one {thing}, {place}, clean vector art",
    "Lovely {thing} seen {place}",
    "{place}: a single {thing}, award winning",
)
PLACES = {"beach": "on a sunny beach", "night": "in the dark night", "grass": "standing on grass"}


@dataclass(frozen=True)
class Figure:
    """One line of the report. `value` and `target` are shares, 0..1, unless the name says."""

    figure: str
    model: str
    size: int
    value: float
    target: float | None = None

    def __str__(self) -> str:
        aim = "" if self.target is None else f"  (target {self.target:.2f})"
        return f"{self.model:8} {self.size:4} px  {self.figure:44} {self.value:6.3f}{aim}"


@dataclass(frozen=True)
class Wish:
    """A prompt and what its picture should show."""

    prompt: str
    icon: str
    colour: str
    background: str
    seed: int


@dataclass(frozen=True)
class Examiner:
    """Draws wishes with one model at one size and counts what came true."""

    model: Model
    size: int
    classifier: IconClassifier

    def draw(self, prompt: str, seed: int, **options: object) -> Image.Image:
        recipe = Recipe(
            prompt=prompt,
            seed=seed,
            width=self.size,
            height=self.size,
            steps=STEPS,
            guidance_scale=SCALE,
            **options,  # type: ignore[arg-type]
        )
        return next(iter(generate(self.model, recipe))).image

    def figure(self, name: str, value: float, target: float | None = None) -> Figure:
        return Figure(name, self.model.name, self.size, round(value, 4), target)

    def share(self, outcomes: Sequence[bool]) -> float:
        return sum(outcomes) / max(1, len(outcomes))


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


def single_objects(examiner: Examiner, count: int) -> Iterator[Figure]:
    """Colours, backgrounds, icons and the number of objects, of one object a prompt."""
    colours: list[bool] = []
    icons: list[bool] = []
    alone: list[bool] = []
    for wish in tqdm(wishes(count, seed=77), desc=f"{examiner.size} px", leave=False):
        image = examiner.draw(wish.prompt, wish.seed)
        colours.append(
            judge.background_right(image, wish.background)
            and judge.main_colour(image, wish.background) == wish.colour
        )
        icons.append(examiner.classifier.name([image])[0] == wish.icon)
        alone.append(judge.object_count(image, wish.background) == 1)
    small = examiner.size <= 256
    yield examiner.figure("object and background colour right", examiner.share(colours), 0.95)
    yield examiner.figure("icon right (classifier)", examiner.share(icons), 0.9 if small else 0.8)
    yield examiner.figure("one object where one was asked", examiner.share(alone), 0.9)


def pairs(examiner: Examiner, count: int) -> Iterator[Figure]:
    """Two objects, each in its colour on its side."""
    rng = random.Random(78)
    right: list[bool] = []
    for index in tqdm(range(count), desc="pairs", leave=False):
        first, second = rng.sample([c for c in COLOURS if c not in ("white", "black")], 2)
        one, other = rng.sample(ICONS[:6], 2)
        prompt = f"one {first} {one} and one {second} {other} on a plain white background"
        image = examiner.draw(prompt, 6000 + index)
        sides = [judge.main_colour(image, "white", judge.half(image, s)) for s in ("left", "right")]
        right.append(sides == [first, second])
    yield examiner.figure("two objects, colours on their sides", examiner.share(right), 0.8)


def places_and_sizes(examiner: Examiner, count: int) -> Iterator[Figure]:
    """Left, centre, right; small, big."""
    right: list[bool] = []
    for index in tqdm(range(count), desc="places", leave=False):
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
    yield examiner.figure("left, centre, right; small, big", examiner.share(right), 0.9)


def emphasis(examiner: Examiner, count: int) -> Iterator[Figure]:
    """Share of the picture that the emphasised thing covers, at four weights."""
    for weight in (0.6, 1.0, 1.4, 1.8):
        shares: list[float] = []
        for index in range(count):
            icon = ICONS[index % len(ICONS)]
            image = examiner.draw(f"a red ({icon}:{weight}) on a white background", 8000 + index)
            shares.append(judge.colour_share(image, "red"))
        yield examiner.figure(f"share of a red (icon:{weight})", sum(shares) / len(shares))


def negatives(examiner: Examiner, count: int) -> Iterator[Figure]:
    """How often a colour shows that nobody asked for, without and with it as negative prompt."""
    for negative in (False, True):
        seen: list[bool] = []
        for index in range(count):
            icon = ("star", "duck", "tree", "dragon", "cat", "guitar")[index % 6]
            colour = USUAL_COLOUR[icon]
            image = examiner.draw(
                f"a {icon} on a white background",
                9000 + index,
                negative_prompt=colour if negative else "",
            )
            seen.append(judge.main_colour(image, "white") == colour)
        name = f"usual colour shown, {'it' if negative else 'nothing'} as negative prompt"
        yield examiner.figure(name, examiner.share(seen), 0.05 if negative else None)


EXAMINATIONS: tuple[tuple[Callable[[Examiner, int], Iterator[Figure]], int], ...] = (
    (single_objects, 120),
    (pairs, 40),
    (places_and_sizes, 36),
    (emphasis, 12),
    (negatives, 36),
)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=PATH)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--share", type=float, default=1.0, help="of the prompts to ask")
    parser.add_argument("--out", type=Path, default=Path("eval.json"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    classifier, accuracy = taught_classifier(Path(".training") / "classifier.pt")
    print(f"classifier: {accuracy:.3f} right on true drawings it was not taught")
    model = load_model(arguments.model, name=arguments.model.stem)
    figures: list[Figure] = []
    for size in arguments.sizes:
        examiner = Examiner(model, size, classifier)
        for examination, count in EXAMINATIONS:
            for figure in examination(examiner, max(4, round(count * arguments.share))):
                print(figure, flush=True)
                figures.append(figure)
    arguments.out.write_text(json.dumps([asdict(figure) for figure in figures], indent=1))
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
