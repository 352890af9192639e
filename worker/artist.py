"""Draws the pictures of one job and stages them in the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from jobs.request import Request
from jobs.status import Result, StoredPicture
from jobs.store import Staging
from stable_diffusion.stopwatch import Stopwatch
from worker.engine import Engine
from worker.enlarger import Enlarger
from worker.infotext import infotext
from worker.parts import Part
from worker.pictures import encode, grid
from worker.progress import ProgressMeter
from worker.reporter import Reporter
from worker.running import Running

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation
    from stable_diffusion.model import Model

_HASH_DIGITS = 10
_ECHOED = ("prompt", "negative_prompt")


@dataclass(frozen=True)
class Artist:
    """One job's drawing: a settled request, its parts (one a prompt), and a borrowed model.

    `running` is asked at every network evaluation whether to go on; `reporter` is told how far the
    job is; `enlarger` doubles what shall be doubled; `watch` counts the seconds of each phase.
    """

    request: Request
    parts: Sequence[Part]
    model: "Model"
    engine: Engine
    running: Running
    reporter: Reporter
    enlarger: Enlarger
    watch: Stopwatch

    def draw(self, staging: Staging) -> Result:
        """Draw every picture, and the grid if one was asked for, and stage each when it is ready.

        Raises:
            JobStopped: at the first evaluation after the job was stopped.
            EngineError, StoreError: what the engine and the store raise.
        """
        request = self.request
        count = request.image_count * len(self.parts)
        wants_grid = not request.skip_grid and count > 1
        meter = ProgressMeter(request.n_samples, count, len(self.parts))
        stored: list[StoredPicture] = []
        drawn: list[Image.Image] = []
        for number, part in enumerate(self.parts):

            def on_evaluation(evaluation: "Evaluation", number: int = number) -> None:
                self.running.check()
                self.reporter.tell(self.running, meter.read(evaluation, number))

            pictures = self.engine.generate(self.model, part.recipe, on_evaluation, self.watch)
            for picture in pictures:
                self.running.check()
                image = self.enlarger.after(picture.image)
                with self.watch.timing("save"):
                    stored.append(
                        self._stage(staging, part.request, image, len(stored), picture.seed)
                    )
                if wants_grid:
                    drawn.append(image)
        sheet = None
        if wants_grid:
            with self.watch.timing("save"):
                rows = request.n_rows or request.n_samples
                first = self.parts[0]
                sheet = self._stage(
                    staging, first.request, grid(drawn, rows), None, first.recipe.seed
                )
        return self._result(tuple(stored), sheet)

    def _stage(
        self, staging: Staging, request: Request, image: Image.Image, index: int | None, seed: int
    ) -> StoredPicture:
        text = infotext(
            request,
            seed=seed,
            model=self.model.name,
            model_hash=self._hash,
            upscaler=self.enlarger.name,
        )
        name = staging.put(
            "grid" if index is None else index,
            encode(image, request.format, text),
            request.format,
            outdir=request.outdir if index is None else None,
        )
        return StoredPicture(
            name=name,
            width=image.width,
            height=image.height,
            index=index,
            seed=None if index is None else seed,
        )

    def _result(self, images: tuple[StoredPicture, ...], sheet: StoredPicture | None) -> Result:
        request = self.request
        described = [self.engine.describe(self.model, part.recipe) for part in self.parts]
        return Result(
            images=images,
            grid=sheet,
            saved=not request.skip_save,
            format=request.format,
            model=self.model.name,
            model_hash=self._hash,
            sampler=request.sampler,
            steps=request.ddim_steps,
            executed_steps=described[0].get("executed_steps", request.ddim_steps),
            prompt=_echoed(described),
            timings=self.watch.seconds,
        )

    @property
    def _hash(self) -> str:
        return self.model.hash[:_HASH_DIGITS]


def _echoed(described: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The prompts as they were read; with several, `prompts` lists them in order."""
    first, *others = described
    echo = {part: first[part] for part in _ECHOED if part in first}
    if others and "prompt" in first:
        echo["prompts"] = [one["prompt"] for one in described]
        del echo["prompt"]
    return echo
