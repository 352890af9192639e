"""Draws with one model at one size, and says what came out as figures."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from stable_diffusion.generate import generate
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from training.classifier import IconClassifier

STEPS = 25
SCALE = 7.5
SMALL = 256  # pictures up to this side are held to the stricter target


@dataclass(frozen=True)
class Figure:
    """One line of the report.

    Attributes:
        value: a share, 0..1, unless the name says another unit.
        target: the least it should be (`at_most`: the most); None where it is only shown.
    """

    figure: str
    model: str
    size: int
    value: float
    target: float | None = None
    at_most: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the value meets the target; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    def __str__(self) -> str:
        aim = ""
        if self.target is not None:
            sign = "≤" if self.at_most else "≥"
            aim = f"  {sign} {self.target:.2f} {'ok' if self.reached else 'MISSED'}"
        return f"{self.model:8} {self.size:4} px  {self.figure:52} {self.value:6.3f}{aim}"


@dataclass(frozen=True)
class Examiner:
    """One model at one size, DDIM with 25 steps."""

    model: Model
    size: int
    classifier: IconClassifier

    def draw(
        self, prompt: str, seed: int, *, scale: float = SCALE, **options: object
    ) -> Image.Image:
        """The picture of a prompt; `options` are further fields of the recipe."""
        recipe = Recipe(
            prompt=prompt,
            seed=seed,
            width=self.size,
            height=self.size,
            steps=STEPS,
            guidance_scale=scale,
            **options,  # type: ignore[arg-type]
        )
        return next(iter(generate(self.model, recipe))).image

    def shows(self, image: Image.Image, icon: str) -> bool:
        """Whether the classifier finds this icon in the picture."""
        return self.classifier.name([image])[0] == icon

    def figure(
        self,
        name: str,
        value: float,
        targets: tuple[float, float] | None = None,
        *,
        at_most: bool = False,
    ) -> Figure:
        """A line of the report; targets are for up to 256 pixels, and for more."""
        target = targets and targets[self.size > SMALL]
        return Figure(name, self.model.name, self.size, round(value, 4), target, at_most)


def share(outcomes: Sequence[bool]) -> float:
    """How many of them are true, 0..1."""
    return sum(outcomes) / max(1, len(outcomes))


def mean(values: Sequence[float]) -> float:
    """Their mean; 0 of none."""
    return sum(values) / max(1, len(values))
