"""Metrics of one model at one picture size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from stable_diffusion.generate import generate
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe
from training.classifier import IconClassifier

STEPS = 25
SCALE = 7.5
SMALL = 256  # pixels; pictures up to this side have the stricter target


@dataclass(frozen=True)
class Metric:
    """One line of the report.

    Attributes:
        name: what the value measures.
        value: a share, 0..1, unless the name has another unit.
        target: the minimum (with `at_most` the maximum); None: no target.
    """

    name: str
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
        target = ""
        if self.target is not None:
            sign = "≤" if self.at_most else "≥"
            target = f"  {sign} {self.target:.2f} {'ok' if self.reached else 'MISSED'}"
        return f"{self.model:9} {self.size:4} px  {self.name:52} {self.value:6.3f}{target}"


@dataclass(frozen=True)
class Evaluator:
    """Generates pictures with one model at one size, with DDIM and 25 steps.

    Attributes:
        options: fields of the recipe that differ for this model.
    """

    model: Model
    size: int
    classifier: IconClassifier
    options: Mapping[str, object] = field(default_factory=dict)

    def picture(
        self, prompt: str, seed: int, *, scale: float = SCALE, **options: object
    ) -> Image.Image:
        """Generate the picture of a prompt; `options` are further fields of the recipe."""
        fields = {"steps": STEPS, "guidance_scale": scale, **self.options, **options}
        recipe = Recipe(
            prompt=prompt,
            seed=seed,
            width=self.size,
            height=self.size,
            **fields,
        )
        return next(iter(generate(self.model, recipe))).image

    def shows(self, image: Image.Image, icon: str) -> bool:
        """Whether the classifier recognises this icon in the picture."""
        return self.classifier.name([image])[0] == icon

    def metric(
        self,
        name: str,
        value: float,
        targets: tuple[float, float] | None = None,
        *,
        at_most: bool = False,
    ) -> Metric:
        """A metric of this model; `targets` are for up to 256 pixels and for larger pictures."""
        target = targets and targets[self.size > SMALL]
        return Metric(name, self.model.name, self.size, round(value, 4), target, at_most)


def share(outcomes: Sequence[bool]) -> float:
    """Share of true outcomes, 0..1; 0 of none."""
    return sum(outcomes) / max(1, len(outcomes))


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; 0 of none."""
    return sum(values) / max(1, len(values))
