"""Images enlarged before, between and after the passes of sampling, or to the output size."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from PIL import Image, ImageOps

from jobs.validation.request import ImageToImage, Request, TextToImage
from stable_diffusion.stopwatch import Stopwatch
from stable_diffusion.upscaling.exact_size import doublings, to_size
from worker.execution.active_job import ActiveJob
from worker.execution.engine import Engine
from worker.execution.inputs import Inputs

if TYPE_CHECKING:
    from stable_diffusion.upscaling.upscale import Upscaler

PHASE = "upscale"
_RESAMPLING = {"lanczos": Image.Resampling.LANCZOS, "nearest": Image.Resampling.NEAREST}
OnShare = Callable[[float], object]
"""Gets the share of an image's upscaling that is done, 0..1."""


def final_size(request: Request, inputs: Inputs) -> tuple[int, int]:
    """Width and height of the finished pictures in pixels.

    Args:
        inputs: as `read_inputs` returns them.
    """
    return request.output_size or _size_before(request, inputs)


def resampled(image: Image.Image, size: tuple[int, int], name: str) -> Image.Image:
    """An image cropped and resampled to a size: `lanczos` or `nearest`."""
    return ImageOps.fit(image.convert("RGB"), size, _RESAMPLING[name])


@dataclass(frozen=True)
class UpscaleStep:
    """Doubles the images of a running job where its request says so.

    A job can be stopped between two tiles of an image.

    Attributes:
        size: width and height of the images, doubled if `post_upscale` was requested, before they
            are brought to the output size.
    """

    request: Request
    size: tuple[int, int]
    engine: Engine
    job: ActiveJob
    stopwatch: Stopwatch
    upscaler: "Upscaler | None"

    @classmethod
    def for_request(
        cls,
        request: Request,
        inputs: Inputs,
        engine: Engine,
        job: ActiveJob,
        stopwatch: Stopwatch,
    ) -> Self:
        """Load the upscaler if the request needs one, so that an unreadable file fails early.

        Raises:
            ModelError: the upscaler is missing or cannot be read; the message names it.
        """
        before = isinstance(request, ImageToImage) and request.upscale
        between = isinstance(request, TextToImage) and request.hires_by_network
        step = cls(request, _size_before(request, inputs), engine, job, stopwatch, None)
        needed = before or between or step.follows
        return replace(step, upscaler=engine.upscaler()) if needed else step

    @property
    def name(self) -> str:
        """The upscaler's name for the infotext; empty without one."""
        return self.upscaler.name if self.upscaler else ""

    @property
    def follows(self) -> bool:
        """Whether the upscaler enlarges the generated images."""
        size = self.request.output_size
        return _doubles_after(self.request) or bool(size and doublings(self.size, *size))

    def before(self, inputs: Inputs) -> Inputs:
        """The inputs, with the init image doubled if `upscale` was requested.

        The init image is first cropped to the aspect ratio of the request and scaled down to its
        size if larger, so that the requested size bounds the work.
        """
        if not (isinstance(self.request, ImageToImage) and self.request.upscale):
            return inputs
        image, width, height = inputs["init"], self.request.W, self.request.H
        share = min(1.0, image.width / width, image.height / height)
        size = max(1, round(share * width)), max(1, round(share * height))
        doubled = self._double(ImageOps.fit(image, size, Image.Resampling.LANCZOS))
        return {**inputs, "init": doubled}

    def between(self, image: Image.Image) -> Image.Image:
        """An image of the first pass in the size of the second."""
        request = self.request
        assert isinstance(request, TextToImage)
        if not request.hires_by_network:
            return resampled(image, request.generated_size, request.hires_upscaler)
        return to_size(
            image, *request.generated_size, lambda window, _start, _end: self._double(window)
        )

    def after(self, image: Image.Image, on_share: OnShare = lambda _: None) -> Image.Image:
        """A generated image, doubled if `post_upscale` was requested, then of the output size."""
        size, doubled = self.request.output_size, _doubles_after(self.request)
        if doubled:
            # the doublings that may follow are four times the work of the one before
            last = doublings(self.size, *size) if size else 0
            share = 3 / (4 ** (last + 1) - 1)
            image = self._double(image, on_share, 0, share)
        else:
            share = 0
        if not size:
            return image

        def double(window: Image.Image, start: float, end: float) -> Image.Image:
            rest = 1 - share
            return self._double(window, on_share, share + rest * start, share + rest * end)

        return to_size(image, *size, double)

    def _double(
        self,
        image: Image.Image,
        on_share: OnShare = lambda _: None,
        start: float = 0,
        end: float = 1,
    ) -> Image.Image:
        """An image twice as large, which is this part of the image's work."""
        assert self.upscaler

        def on_tile(share: float) -> None:
            self.job.check()
            on_share(start + share * (end - start))

        with self.stopwatch.timing(PHASE):
            return self.engine.double(self.upscaler, image, on_tile)


def _doubles_after(request: Request) -> bool:
    return isinstance(request, ImageToImage) and request.post_upscale


def _size_before(request: Request, inputs: Inputs) -> tuple[int, int]:
    """The size of the images before they are brought to the output size."""
    factor = 2 if _doubles_after(request) else 1
    width, height = request.result_size(inputs["init"].size if "init" in inputs else None)
    return factor * width, factor * height
