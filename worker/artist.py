"""Draws the pictures of one job and stages them in the store."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PIL import Image

from jobs.request import Request
from jobs.status import Result, StoredPicture
from jobs.store import Staging
from worker.engine import Engine
from worker.infotext import infotext
from worker.pictures import encode, grid
from worker.progress import ProgressMeter
from worker.reporter import Reporter
from worker.running import Running

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation
    from stable_diffusion.model import Model
    from stable_diffusion.recipe import Recipe

_HASH_DIGITS = 10
_ECHOED = ("prompt", "negative_prompt")


@dataclass(frozen=True)
class Artist:
    """One job's drawing: a settled request, its recipe, and a borrowed model.

    `running` is asked at every network evaluation whether to go on; `reporter` is told how far the
    job is.
    """

    request: Request
    recipe: "Recipe"
    model: "Model"
    engine: Engine
    running: Running
    reporter: Reporter
    _seconds: dict[str, float] = field(default_factory=dict)

    def draw(self, staging: Staging) -> Result:
        """Draw every picture, and the grid if one was asked for, and stage each when it is ready.

        Raises:
            JobStopped: at the first evaluation after the job was stopped.
            EngineError, StoreError: what the engine and the store raise.
        """
        request = self.request
        count = request.image_count
        wants_grid = not request.skip_grid and count > 1
        meter = ProgressMeter(request.n_samples, count)

        def on_evaluation(evaluation: "Evaluation") -> None:
            self.running.check()
            self.reporter.tell(self.running, meter.read(evaluation))

        stored: list[StoredPicture] = []
        drawn: list[Image.Image] = []
        began = time.monotonic()
        for picture in self.engine.generate(self.model, self.recipe, on_evaluation):
            self.running.check()
            with self._timed("save"):
                stored.append(self._stage(staging, picture.image, picture.index, picture.seed))
            if wants_grid:
                drawn.append(picture.image)
        sheet = None
        if wants_grid:
            with self._timed("save"):
                rows = request.n_rows or request.n_samples
                sheet = self._stage(staging, grid(drawn, rows), None, self.recipe.seed)
        self._seconds["draw"] = time.monotonic() - began - self._seconds.get("save", 0.0)
        return self._result(tuple(stored), sheet)

    def _stage(
        self, staging: Staging, image: Image.Image, index: int | None, seed: int
    ) -> StoredPicture:
        request = self.request
        text = infotext(request, seed=seed, model=self.model.name, model_hash=self._hash)
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
        described = self.engine.describe(self.model, self.recipe)
        return Result(
            images=images,
            grid=sheet,
            saved=not request.skip_save,
            format=request.format,
            model=self.model.name,
            model_hash=self._hash,
            sampler=request.sampler,
            steps=request.ddim_steps,
            executed_steps=described.get("executed_steps", request.ddim_steps),
            prompt={part: described[part] for part in _ECHOED if part in described},
            timings=self._seconds,
        )

    @property
    def _hash(self) -> str:
        return self.model.hash[:_HASH_DIGITS]

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._seconds[phase] = self._seconds.get(phase, 0.0) + time.monotonic() - began
