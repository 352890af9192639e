"""Generates the images of one attempt and stages each in the store as soon as it is ready."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from jobs.request import Request
from jobs.status import Progress, Result, StoredPicture
from jobs.store import Staging
from stable_diffusion.stopwatch import Stopwatch
from worker.execution.active_job import ActiveJob
from worker.execution.comparison_grid import labelled_grid
from worker.execution.echoed_prompts import echoed_prompts
from worker.execution.edit_step import EditStep
from worker.execution.endings import timings_of
from worker.execution.engine import Engine
from worker.execution.infotext import infotext
from worker.execution.picture_encoding import encode, grid
from worker.execution.previewer import Previewer
from worker.execution.progress_meter import ProgressMeter
from worker.execution.prompt_jobs import PromptJob
from worker.execution.reporter import Reporter
from worker.execution.room import has_grid
from worker.execution.upscale_step import UpscaleStep

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation
    from stable_diffusion.model import Model
    from stable_diffusion.recipe import Recipe

_HASH_DIGITS = 10


@dataclass(kw_only=True)
class ImageGenerator:
    """Call `generate` for each part in order, then `stage_grid`, then `result`.

    Args:
        request: the settled request.
        parts: what the job generates.
        job: checked for a stop at every evaluation of the network.
        edit: puts generated images back into the init image; None: they are the result.
    """

    request: Request
    parts: Sequence[PromptJob]
    job: ActiveJob
    engine: Engine
    staging: Staging
    edit: EditStep | None
    upscale: UpscaleStep
    stopwatch: Stopwatch
    reporter: Reporter
    previewer: Previewer | None
    _images: list[StoredPicture] = field(default_factory=list, init=False)
    _grid: StoredPicture | None = field(default=None, init=False)
    _cells: list[Image.Image] = field(default_factory=list, init=False)
    _descriptions: list[dict[str, Any]] = field(default_factory=list, init=False)
    _model: str = field(default="", init=False)
    _model_hash: str = field(default="", init=False)
    _vae: str = field(default="", init=False)
    _refiner: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._count = sum(part.request.image_count for part in self.parts)
        self._with_grid = has_grid(self.request, self._count)
        self._meter = ProgressMeter(
            self.parts[0].request.n_samples,
            self._count,
            [part.evaluations for part in self.parts],
            upscaled=self.upscale.follows,
        )

    def generate(self, model: "Model", prompt_job: PromptJob, recipe: "Recipe") -> None:
        """Generate and stage the images of the next part.

        Raises:
            JobStopped: at the first evaluation after the job was stopped.
            EngineError, StoreError.
        """
        self._model, self._model_hash = model.name, model.hash[:_HASH_DIGITS]
        self._vae = model.vae
        if refiner := model.refiner:
            self._refiner = f"{refiner.name} [{refiner.hash[:_HASH_DIGITS]}]"
        with self._watched(model) as on_evaluation:
            for picture in self.engine.generate(model, recipe, on_evaluation, self.stopwatch):
                self.job.check()
                image = self.edit.after(picture.image) if self.edit else picture.image
                image = self.upscale.after(image, self._on_upscaling)
                index = len(self._images)
                varied = {"variation_seed": picture.variation_seed}
                request = prompt_job.request.model_copy(update=varied)
                self._images.append(self._stage(request, image, picture.seed, index))
                self.job.clock.note_share(len(self._images) / self._count)
                if self._with_grid:
                    self._cells.append(image)
            self._descriptions.append(self.engine.describe(model, recipe))

    def stage_grid(self, first: PromptJob, recipe: "Recipe") -> None:
        """Stage the grid of all images, if the request wants one.

        Args:
            first, recipe: those of the first part, for the infotext of the grid.
        """
        if self._with_grid:
            rows = self.request.n_rows or self.request.n_samples
            with self.stopwatch.timing("save"):
                if self.request.vary:
                    sheet = labelled_grid(self._cells, self.request.vary)
                else:
                    sheet = grid(self._cells, rows)
            self._grid = self._stage(first.request, sheet, recipe.seed, None)

    def result(self) -> Result:
        """What the record keeps of the finished job."""
        request = self.parts[0].request
        return Result(
            images=tuple(self._images),
            grid=self._grid,
            saved=not request.skip_save,
            format=request.format,
            upscaler=self.upscale.name,
            model=self._model,
            model_hash=self._model_hash,
            vae=self._vae,
            sampler=request.sampler,
            steps=request.ddim_steps,
            executed_steps=self._descriptions[0].get("executed_steps", request.ddim_steps),
            prompt=echoed_prompts(self._descriptions),
            timings=timings_of(self.job.claim, self.stopwatch),
        )

    @contextmanager
    def _watched(self, model: "Model") -> "Iterator[Callable[[Evaluation], None]]":
        """A callback that checks for a stop, and reports the progress and a preview.

        No preview refers to the model after the block.
        """
        part = len(self._descriptions)

        def on_evaluation(evaluation: "Evaluation") -> None:
            self.job.check()
            progress = self._meter.read(evaluation, part)
            self._report(progress)
            if self.previewer:
                compute = partial(self._preview, model, evaluation)
                self.previewer.offer(self.job, progress, compute)

        try:
            yield on_evaluation
        finally:
            if self.previewer:
                self.previewer.discard(self.job)

    def _on_upscaling(self, share: float) -> None:
        self._report(self._meter.upscaling(len(self._images), share))

    def _report(self, progress: Progress) -> None:
        # images are stored after the last evaluation that is reported of them
        self.job.clock.note_share((progress.fraction + len(self._images) / self._count) / 2)
        self.reporter.report(self.job, progress)

    def _preview(self, model: "Model", evaluation: "Evaluation") -> Image.Image:
        preview = self.engine.preview(model, evaluation)
        return self.edit.preview(preview) if self.edit else preview

    def _stage(
        self, request: Request, image: Image.Image, seed: int, index: int | None
    ) -> StoredPicture:
        """Encode an image, or the grid if the index is None, and write it to the staging."""
        with self.stopwatch.timing("save"):
            text = infotext(
                request,
                seed=seed,
                model=self._model,
                model_hash=self._model_hash,
                vae=self._vae,
                refiner=self._refiner,
                upscaler=self.upscale.name,
            )
            name = self.staging.put(
                "grid" if index is None else index,
                encode(image, request.format, text, request.jpeg_quality),
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
