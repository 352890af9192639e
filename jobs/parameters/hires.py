"""The parameters of txt2img that say how each picture is made larger by a second pass.

AUTOMATIC1111 calls it hires fix: the picture is generated at W x H, enlarged, and in part generated
anew at that size. It is on if one of `hires_scale`, `hires_width` and `hires_height` is given.
"""

from typing import Annotated

from pydantic import BaseModel, Field

from jobs.limits import SIDE_STEP
from jobs.parameters.sampling import Scheduler
from jobs.parameters.types import MAX_STEPS, WHOLE, Sampler, Side, Strength, Text
from jobs.upscalers import NETWORK, UpscalerName
from stable_diffusion.latent_upscalers import LatentUpscaler

MIN_SCALE, MAX_SCALE = 1, 4
HIRES_SIZE = ("hires_scale", "hires_width", "hires_height")
HIRES_OPTIONS = (
    "hires_steps",
    "hires_strength",
    "hires_upscaler",
    "hires_prompt",
    "hires_negative_prompt",
    "hires_sampler",
    "hires_scheduler",
)
"""Without a size they have no effect."""


class HiresParameters(BaseModel, frozen=True):
    """What is left out is as in the first pass; `jobs.validation.hires_rules` checks the rest."""

    hires_scale: Annotated[
        float | None,
        Field(
            ge=MIN_SCALE,
            le=MAX_SCALE,
            description="a second pass, at W and H times this; null: none",
        ),
    ] = None
    hires_width: Annotated[
        Side | None,
        Field(description="a second pass, of this width; without hires_height, of W:H"),
    ] = None
    hires_height: Annotated[
        Side | None,
        Field(description="a second pass, of this height; without hires_width, of W:H"),
    ] = None
    hires_steps: Annotated[
        int,
        Field(
            ge=0,
            le=MAX_STEPS,
            description="ddim_steps of the second pass, of which hires_strength are executed; 0: "
            "the same",
        ),
        WHOLE,
    ] = 0
    hires_strength: Annotated[
        Strength, Field(description="how much the second pass generates anew")
    ] = 0.7
    hires_upscaler: Annotated[
        LatentUpscaler | UpscalerName,
        Field(
            description="enlarges between the passes: the latents, or the picture with the "
            "worker's network (default), lanczos or nearest"
        ),
    ] = "latent"
    hires_prompt: Annotated[
        Text, Field(description="prompt of the second pass; empty: the same")
    ] = ""
    hires_negative_prompt: Annotated[
        Text, Field(description="negative prompt of the second pass; empty: the same")
    ] = ""
    hires_sampler: Annotated[
        Sampler | None, Field(description="sampler of the second pass; null: the same")
    ] = None
    hires_scheduler: Annotated[
        Scheduler | None, Field(description="scheduler of the second pass; null: the same")
    ] = None

    @property
    def has_second_pass(self) -> bool:
        """Whether a size of it is given."""
        return any(getattr(self, field) is not None for field in HIRES_SIZE)

    @property
    def hires_by_network(self) -> bool:
        """Whether the worker's network enlarges between the passes."""
        return self.has_second_pass and self.hires_upscaler == NETWORK

    def hires_size_from(self, width: int, height: int) -> tuple[int, int] | None:
        """Width and height in pixels of the second pass for a first one; None: there is none.

        Sides are rounded down to multiples of SIDE_STEP, as AUTOMATIC1111 does.
        """
        if not self.has_second_pass:
            return None
        wide, high = self.hires_width, self.hires_height
        if wide is None and high is None:
            factor = self.hires_scale or 1
            return _side(width * factor), _side(height * factor)
        return (
            wide or _side((high or 0) * width / height),
            high or _side((wide or 0) * height / width),
        )


def _side(pixels: float) -> int:
    return int(pixels) // SIDE_STEP * SIDE_STEP
