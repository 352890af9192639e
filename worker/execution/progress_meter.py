"""How far a job is, and how long it will still take, from the engine's evaluations."""

import time
from typing import TYPE_CHECKING

from jobs.status import Progress

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation

# The last of the way is decoding and saving; only success is 1.
_MOST = 0.99


class ProgressMeter:
    """The progress of one attempt. Starts its clock when it is made.

    Args:
        batch_size: pictures drawn at once.
        images: pictures in all.
        prompts: prompts drawn one after the other, each as often as the others.
    """

    def __init__(self, batch_size: int, images: int, prompts: int = 1) -> None:
        self._batch_size = batch_size
        self._images = images
        self._prompts = prompts
        self._started = time.monotonic()

    def read(self, evaluation: "Evaluation", prompt: int = 0) -> Progress:
        """The progress after an evaluation of the prompt of this number, from 0.

        With the time left at the rate measured so far.
        """
        fraction = (prompt + evaluation.fraction) / self._prompts
        iteration = prompt * evaluation.iterations + evaluation.iteration
        steps = self._prompts * evaluation.iterations * evaluation.evaluations
        elapsed = time.monotonic() - self._started
        return Progress(
            step=min(steps, round(fraction * steps)),
            steps=steps,
            fraction=min(fraction, _MOST),
            image=min(self._images, iteration * self._batch_size + 1),
            images=self._images,
            eta_seconds=elapsed * (1 - fraction) / fraction if fraction > 0 else None,
        )
