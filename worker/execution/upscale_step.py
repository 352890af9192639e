"""The request's `upscale` and `post_upscale`: images doubled before and after sampling."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from PIL import Image, ImageOps

from jobs.request import ImageToImage, Request
from stable_diffusion.stopwatch import Stopwatch
from worker.execution.active_job import ActiveJob
from worker.execution.engine import Engine
from worker.execution.inputs import Inputs

if TYPE_CHECKING:
    from stable_diffusion.upscale import Upscaler

PHASE = "upscale"


@dataclass(frozen=True)
class UpscaleStep:
    """Doubles the images of a running job where its request says so.

    A job can be stopped between two tiles of an image.
    """

    request: Request
    engine: Engine
    job: ActiveJob
    stopwatch: Stopwatch
    upscaler: "Upscaler | None"

    @classmethod
    def for_request(
        cls, request: Request, engine: Engine, job: ActiveJob, stopwatch: Stopwatch
    ) -> Self:
        """Load the upscaler if the request needs one, so that an unreadable file fails early.

        Raises:
            ModelError: the upscaler is missing or cannot be read; the message names it.
        """
        needed = isinstance(request, ImageToImage) and (request.upscale or request.post_upscale)
        return cls(request, engine, job, stopwatch, engine.upscaler() if needed else None)

    @property
    def name(self) -> str:
        """The upscaler's name for the infotext; empty without one."""
        return self.upscaler.name if self.upscaler else ""

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

    def after(self, image: Image.Image) -> Image.Image:
        """A generated image, doubled if `post_upscale` was requested."""
        if isinstance(self.request, ImageToImage) and self.request.post_upscale:
            return self._double(image)
        return image

    def _double(self, image: Image.Image) -> Image.Image:
        assert self.upscaler
        with self.stopwatch.timing(PHASE):
            return self.engine.double(self.upscaler, image, self.job.check)
