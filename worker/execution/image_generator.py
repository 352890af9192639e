"""Generates the images of one attempt and stages each in the store as soon as it is ready."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, Self

from PIL import Image

from jobs.pictures.output_formats import OUTPUT_FORMATS, encode
from jobs.pictures.store import Staging
from jobs.status import Progress, Result, StoredPicture
from jobs.validation.request import Request
from stable_diffusion.stopwatch import Stopwatch
from worker.execution.active_job import ActiveJob
from worker.execution.comparison_grid import labelled_grid
from worker.execution.echoed_prompts import echoed_prompts
from worker.execution.endings import timings_of
from worker.execution.engine import Engine
from worker.execution.infotext import infotext
from worker.execution.job_part import JobPart, generation_order
from worker.execution.picture_grid import grid
from worker.execution.previewer import Previewer
from worker.execution.progress_meter import ProgressMeter
from worker.execution.reporter import Reporter
from worker.execution.room import has_grid

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation
    from stable_diffusion.model import Model


@dataclass(frozen=True)
class _UsedModel:
    """What an infotext says of the model of a part."""

    model: str
    model_hash: str
    vae: str
    refiner: str

    @classmethod
    def of(cls, model: "Model") -> Self:
        refiner = model.refiner
        named = f"{refiner.name} [{refiner.hash}]" if refiner else ""
        return cls(model.name, model.hash, model.vae, named)


@dataclass(kw_only=True)
class ImageGenerator:
    """Call `generate` for each part of `order`, then `stage_grid`, then `result`.

    Args:
        request: the settled request.
        parts: what the job generates, in the order of the images.
        job: checked for a stop at every evaluation of the network.

    Attributes:
        order: the parts, those with one model one after the other.
    """

    request: Request
    parts: Sequence[JobPart]
    job: ActiveJob
    engine: Engine
    staging: Staging
    stopwatch: Stopwatch
    reporter: Reporter
    previewer: Previewer | None
    order: Sequence[JobPart] = field(init=False)
    _images: dict[int, StoredPicture] = field(default_factory=dict, init=False)
    _grid: StoredPicture | None = field(default=None, init=False)
    _cells: dict[int, Image.Image] = field(default_factory=dict, init=False)
    _descriptions: dict[JobPart, dict[str, Any]] = field(default_factory=dict, init=False)
    _models: dict[JobPart, _UsedModel] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.order = generation_order(self.parts)
        self._count = sum(part.request.image_count for part in self.parts)
        self._with_grid = has_grid(self.request, self._count)
        self._meter = ProgressMeter(
            self.parts[0].request.n_samples,
            self._count,
            [part.prompt_job.evaluations for part in self.order],
            [prod(part.request.sampled_size) for part in self.order],
            upscaled=any(part.upscale.follows for part in self.parts),
        )

    def generate(self, model: "Model", part: JobPart) -> None:
        """Generate and stage the images of the next part of `order`.

        Raises:
            JobStopped: at the first evaluation after the job was stopped.
            EngineError, StoreError.
        """
        self._models[part] = _UsedModel.of(model)
        with self._watched(model, part) as on_evaluation:
            pictures = self.engine.generate(model, part.recipe, on_evaluation, self.stopwatch)
            for index, picture in enumerate(pictures, start=part.first):
                self.job.check()
                image = part.edit.after(picture.image) if part.edit else picture.image
                image = part.upscale.after(image, self._on_upscaling)
                varied = {"variation_seed": picture.variation_seed}
                request = part.request.model_copy(update=varied)
                self._images[index] = self._stage(part, request, image, picture.seed, index)
                self.job.clock.note_share(len(self._images) / self._count)
                if self._with_grid:
                    self._cells[index] = image
            self._descriptions[part] = self.engine.describe(model, part.recipe)

    def stage_grid(self) -> tuple[str, ...]:
        """Stage the grid of all images, if the request wants one. It has the first part's text.

        Returns:
            warnings.
        """
        if not self._with_grid:
            return ()
        first, picture_format = self.parts[0], self.request.format
        cells = [self._cells[index] for index in sorted(self._cells)]
        with self.stopwatch.timing("save"):
            if self.request.vary:
                sheet = labelled_grid(cells, self.request.vary)
            else:
                sheet = grid(cells, self.request.n_rows or self.request.n_samples)
            size, most = sheet.size, OUTPUT_FORMATS[picture_format].max_side
            sheet.thumbnail((most, most))
        self._grid = self._stage(first, first.request, sheet, first.recipe.seed, None)
        if sheet.size == size:
            return ()
        whole, reduced = ("{}x{}".format(*each) for each in (size, sheet.size))
        return (
            f"format: {picture_format} holds {most} pixels a side, so the grid was reduced "
            f"from {whole} to {reduced}",
        )

    def result(self) -> Result:
        """What the record keeps of the finished job: of its model, that of the first part."""
        first = self.parts[0]
        request, used = first.request, self._models[first]
        descriptions = [self._descriptions[part] for part in self.parts]
        return Result(
            images=tuple(self._images[index] for index in sorted(self._images)),
            grid=self._grid,
            saved=not request.skip_save,
            format=request.format,
            upscaler=next((part.upscale.name for part in self.parts if part.upscale.name), ""),
            model=used.model,
            model_hash=used.model_hash,
            vae=used.vae,
            sampler=request.sampler,
            steps=request.ddim_steps,
            executed_steps=descriptions[0].get("executed_steps", request.ddim_steps),
            prompt=echoed_prompts(descriptions),
            timings=timings_of(self.job.claim, self.stopwatch),
        )

    @contextmanager
    def _watched(self, model: "Model", part: JobPart) -> "Iterator[Callable[[Evaluation], None]]":
        """A callback that checks for a stop, and reports the progress and a preview.

        No preview refers to the model after the block.
        """
        number = len(self._descriptions)

        def on_evaluation(evaluation: "Evaluation") -> None:
            self.job.check()
            progress = self._meter.read(evaluation, number)
            self._report(progress)
            if self.previewer:
                compute = partial(self._preview, model, part, evaluation)
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

    def _preview(self, model: "Model", part: JobPart, evaluation: "Evaluation") -> Image.Image:
        preview = self.engine.preview(model, evaluation)
        return part.edit.preview(preview) if part.edit else preview

    def _stage(
        self, part: JobPart, request: Request, image: Image.Image, seed: int, index: int | None
    ) -> StoredPicture:
        """Encode an image, or the grid if the index is None, and write it to the staging."""
        used = self._models[part]
        with self.stopwatch.timing("save"):
            text = infotext(
                request,
                seed=seed,
                model=used.model,
                model_hash=used.model_hash,
                vae=used.vae,
                refiner=used.refiner,
                upscaler=part.upscale.name,
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
