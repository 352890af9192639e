"""What a sampler is: which levels it visits, where it starts, how it steps."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from stable_diffusion.sampler_table import SamplerRow
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.schedule import NoiseSchedule, Spacing

Start = Callable[[NoiseSchedule, Tensor, Tensor, Tensor | None], Tensor]
"""(schedule, first level, noise (n, C, h, w), image latents or None) to the latents to start from
at that level: pure noise if there is no image."""
SamplerFunction = Callable[[Denoiser, Tensor, Tensor, NoiseSource, float], Tensor]
"""(denoiser, latents at the first level, levels, noise source, eta) to finished latents."""


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """A row of the sampler table with its functions.

    Attributes:
        row: its names and its cost.
        spacing: a number of steps to levels, the noisiest first, one more than steps.
        start: noise, and perhaps an image, to latents at the first level.
        run: samples from the first level to the last.
    """

    row: SamplerRow
    spacing: Spacing
    start: Start
    run: SamplerFunction
