"""What `upscale` and `post_upscale` mean for one job: its pictures doubled, before and after."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from PIL import Image, ImageOps

from jobs.request import ImageToImage, Request
from stable_diffusion.stopwatch import Stopwatch
from worker.execution.active_job import ActiveJob
from worker.execution.engine import Engine

if TYPE_CHECKING:
    from stable_diffusion.upscale import Upscaler

PHASE = "upscale"


@dataclass(frozen=True)
class Enlarger:
    """Doubles the pictures of a running job where its request says so.

    Takes as long as it takes: the job can be stopped between two tiles of a picture.
    """

    request: Request
    engine: Engine
    running: ActiveJob
    watch: Stopwatch
    upscaler: "Upscaler | None"

    @classmethod
    def of(cls, request: Request, engine: Engine, running: ActiveJob, watch: Stopwatch) -> Self:
        """With its upscaler, if one is asked for: a file that cannot be read fails a job early.

        Raises:
            ModelError: the upscaler is missing or cannot be read; the message names it.
        """
        asked = isinstance(request, ImageToImage) and (request.upscale or request.post_upscale)
        return cls(request, engine, running, watch, engine.upscaler() if asked else None)

    @property
    def name(self) -> str:
        """The upscaler's, for the pictures' metadata."""
        return self.upscaler.name if self.upscaler else ""

    def before(self, image: Image.Image) -> Image.Image:
        """The init image, twice as large if `upscale` was asked for.

        First it loses what the picture to be drawn has no room for, so that the work is bounded by
        the size that was asked for.
        """
        if not (isinstance(self.request, ImageToImage) and self.request.upscale):
            return image
        width, height = self.request.W, self.request.H
        share = min(1.0, image.width / width, image.height / height)
        size = max(1, round(share * width)), max(1, round(share * height))
        return self._doubled(ImageOps.fit(image, size, Image.Resampling.LANCZOS))

    def after(self, image: Image.Image) -> Image.Image:
        """A finished picture, twice as large if `post_upscale` was asked for."""
        if isinstance(self.request, ImageToImage) and self.request.post_upscale:
            return self._doubled(image)
        return image

    def _doubled(self, image: Image.Image) -> Image.Image:
        assert self.upscaler
        with self.watch.timing(PHASE):
            return self.engine.doubled(self.upscaler, image, self.running.check)
