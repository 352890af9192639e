"""The progress of a job and its remaining time, from the engine's evaluations."""

import time
from collections.abc import Sequence
from operator import mul
from typing import TYPE_CHECKING

from jobs.status import Progress

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation

# Decoding and saving follow the last evaluation; only success is 1.
_LARGEST_FRACTION = 0.99
_UPSCALING = 0.3
"""The share of the whole that upscaling the generated images counts for: a guess, since with one
model and upscaler it takes a hundredth of the time of sampling, with others it takes most of it."""


class ProgressMeter:
    """The progress of one attempt, timed from the construction of this object.

    Args:
        batch_size: images generated at once.
        images: images in all, as many in each part.
        evaluations: of the network, about, of the parts one after the other.
        sizes: what an evaluation of each part costs, in proportion; empty: the same.
        upscaled: whether the generated images are upscaled.
    """

    def __init__(
        self,
        batch_size: int,
        images: int,
        evaluations: Sequence[float] = (1,),
        sizes: Sequence[float] = (),
        *,
        upscaled: bool = False,
    ) -> None:
        self._batch_size = batch_size
        self._images = images
        self._evaluations = evaluations
        self._work = [*map(mul, evaluations, sizes)] if sizes else evaluations
        self._upscaling = _UPSCALING if upscaled else 0.0
        self._upscaled = 0.0
        self._sampled = Progress(step=0, steps=0, fraction=0.0, images=images)
        self._started = time.monotonic()

    def read(self, evaluation: "Evaluation", part: int = 0) -> Progress:
        """The progress after an evaluation for the part with this index.

        The remaining time follows from the average rate so far.
        """
        sampled = _share(self._work, part, evaluation.fraction)
        iteration = part * evaluation.iterations + evaluation.iteration
        planned = sum(self._evaluations) / self._evaluations[part]
        steps = round(evaluation.iterations * evaluation.evaluations * planned)
        done = steps * _share(self._evaluations, part, evaluation.fraction)
        self._sampled = Progress(
            step=min(steps, round(done)),
            steps=steps,
            fraction=sampled,
            image=min(self._images, iteration * self._batch_size + 1),
            images=self._images,
        )
        return self._timed(self._sampled)

    def upscaling(self, index: int, share: float) -> Progress:
        """The progress while the image with this index is upscaled.

        Args:
            share: of its upscaling, 0..1.
        """
        self._upscaled = (index + share) / self._images
        progress = self._sampled.model_copy(update={"image": index + 1, "upscaling": True})
        return self._timed(progress)

    def _timed(self, progress: Progress) -> Progress:
        """With the fraction of the whole, and the remaining time."""
        fraction = (1 - self._upscaling) * progress.fraction + self._upscaling * self._upscaled
        return _timed(progress, fraction, self._started)


class UpscaleMeter:
    """The progress of a job that only enlarges a picture, timed as by `ProgressMeter`."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def read(self, share: float) -> Progress:
        """The progress when this share is done, 0..1."""
        return _timed(Progress(step=0, steps=1, fraction=0, upscaling=True), share, self._started)


def _share(weights: Sequence[float], part: int, fraction: float) -> float:
    """How much of all parts is done, when this fraction of one of them is."""
    return (sum(weights[:part]) + fraction * weights[part]) / sum(weights)


def _timed(progress: Progress, fraction: float, started: float) -> Progress:
    """The progress at a fraction, with the remaining time."""
    elapsed = time.monotonic() - started
    return progress.model_copy(
        update={
            "fraction": min(fraction, _LARGEST_FRACTION),
            "eta_seconds": elapsed * (1 - fraction) / fraction if fraction > 0 else None,
        }
    )
