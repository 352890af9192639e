"""The progress of a job and its remaining time, from the engine's evaluations."""

import time
from typing import TYPE_CHECKING

from jobs.status import Progress

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation

# Decoding and saving follow the last evaluation; only success is 1.
_LARGEST_FRACTION = 0.99


class ProgressMeter:
    """The progress of one attempt, timed from the construction of this object.

    Args:
        batch_size: images generated at once.
        images: images in all.
        prompts: prompts processed one after the other, with equally many images each.
    """

    def __init__(self, batch_size: int, images: int, prompts: int = 1) -> None:
        self._batch_size = batch_size
        self._images = images
        self._prompts = prompts
        self._started = time.monotonic()

    def read(self, evaluation: "Evaluation", prompt: int = 0) -> Progress:
        """The progress after an evaluation for the prompt with this index.

        The remaining time follows from the average rate so far.
        """
        fraction = (prompt + evaluation.fraction) / self._prompts
        iteration = prompt * evaluation.iterations + evaluation.iteration
        steps = self._prompts * evaluation.iterations * evaluation.evaluations
        elapsed = time.monotonic() - self._started
        return Progress(
            step=min(steps, round(fraction * steps)),
            steps=steps,
            fraction=min(fraction, _LARGEST_FRACTION),
            image=min(self._images, iteration * self._batch_size + 1),
            images=self._images,
            eta_seconds=elapsed * (1 - fraction) / fraction if fraction > 0 else None,
        )
