"""Draws the pictures of one job and stages them in the store."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from jobs.request import Request
from jobs.status import Progress, Result, StoredPicture
from jobs.store import Staging
from stable_diffusion.stopwatch import Stopwatch
from worker.execution.active_job import ActiveJob
from worker.execution.engine import Engine
from worker.execution.enlarger import Enlarger
from worker.execution.infotext import infotext
from worker.execution.parts import Part
from worker.execution.picture_encoding import encode, grid
from worker.execution.previewer import Previewer
from worker.execution.progress_meter import ProgressMeter
from worker.execution.reporter import Reporter

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation
    from stable_diffusion.model import Model

_HASH_DIGITS = 10
_ECHOED = ("prompt", "negative_prompt")


class _Named(NamedTuple):
    """A model as results name it."""

    model: str
    digits: str


@dataclass(frozen=True)
class Artist:
    """One job's drawing: a settled request, and its parts (one a prompt).

    `lend` lends the model that a part is drawn with, in which its prompt has a say. `running` is
    asked at every network evaluation whether to go on; `reporter` is told how far the job is, and
    `previewer` what it looks like; `enlarger` doubles what shall be doubled; `watch` counts the
    seconds of each phase.
    """

    request: Request
    parts: Sequence[Part]
    lend: "Callable[[Part], AbstractContextManager[Model]]"
    engine: Engine
    running: ActiveJob
    reporter: Reporter
    previewer: Previewer | None
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
        named = _Named("", "")
        described: list[dict[str, Any]] = []
        for number, part in enumerate(self.parts):
            with self.lend(part) as model, self._showing(model) as show:

                def on_evaluation(
                    evaluation: "Evaluation",
                    number: int = number,
                    show: "Callable[[Progress, Evaluation], None]" = show,
                ) -> None:
                    self.running.check()
                    progress = meter.read(evaluation, number)
                    self.reporter.tell(self.running, progress)
                    show(progress, evaluation)

                named = _Named(model.name, model.hash[:_HASH_DIGITS])
                for picture in self.engine.generate(model, part.recipe, on_evaluation, self.watch):
                    self.running.check()
                    image = self.enlarger.after(picture.image)
                    with self.watch.timing("save"):
                        stored.append(
                            self._stage(
                                staging, part.request, named, image, len(stored), picture.seed
                            )
                        )
                    if wants_grid:
                        drawn.append(image)
                described.append(self.engine.describe(model, part.recipe))
        sheet = None
        if wants_grid:
            with self.watch.timing("save"):
                rows = request.n_rows or request.n_samples
                first = self.parts[0]
                sheet = self._stage(
                    staging, first.request, named, grid(drawn, rows), None, first.recipe.seed
                )
        return self._result(tuple(stored), sheet, named, described)

    @contextmanager
    def _showing(self, model: "Model") -> "Iterator[Callable[[Progress, Evaluation], None]]":
        """Lets previews be drawn, for as long as the model is on loan."""
        previewer = self.previewer

        def show(progress: Progress, evaluation: "Evaluation") -> None:
            if previewer is not None:
                draw = partial(self.engine.preview, model, evaluation)
                previewer.tell(self.running, progress, draw)

        try:
            yield show
        finally:
            if previewer is not None:
                previewer.forget(self.running)

    def _stage(
        self,
        staging: Staging,
        request: Request,
        named: "_Named",
        image: Image.Image,
        index: int | None,
        seed: int,
    ) -> StoredPicture:
        text = infotext(
            request,
            seed=seed,
            model=named.model,
            model_hash=named.digits,
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

    def _result(
        self,
        images: tuple[StoredPicture, ...],
        sheet: StoredPicture | None,
        named: "_Named",
        described: Sequence[dict[str, Any]],
    ) -> Result:
        request = self.request
        return Result(
            images=images,
            grid=sheet,
            saved=not request.skip_save,
            format=request.format,
            model=named.model,
            model_hash=named.digits,
            sampler=request.sampler,
            steps=request.ddim_steps,
            executed_steps=described[0].get("executed_steps", request.ddim_steps),
            prompt=_echoed(described),
            timings=self.watch.seconds,
        )


def _echoed(described: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The prompts as they were read; with several, `prompts` lists them in order."""
    first, *others = described
    echo = {part: first[part] for part in _ECHOED if part in first}
    if others and "prompt" in first:
        echo["prompts"] = [one["prompt"] for one in described]
        del echo["prompt"]
    return echo
