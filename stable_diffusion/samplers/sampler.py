"""What a sampler is: which levels it visits, where it starts, how it steps."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from torch import Tensor

from stable_diffusion.sampler_table import SamplerRow
from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.schedule import NoiseSchedule, Spacing

Start = Callable[[NoiseSchedule, Tensor, Tensor, Tensor | None], Tensor]
"""(schedule, first level, noise (n, C, h, w), image latents or None) to the latents to start from
at that level: pure noise if there is no image."""


@dataclass(frozen=True)
class SamplerOptions:
    """What a request may change about a sampler; which takes what is in the sampler table.

    Attributes:
        eta: how much of the noise is fresh at every step, 0 to 1; None: the sampler's own, 0 for
            DDIM and DPM, 1 for those that are called ancestral or SDE.
        s_churn: noise that is added before a step, as in Karras et al. 2022 (arXiv:2206.00364),
            algorithm 2: divided by the steps, the share by which σ grows, at most 0.41.
        s_tmin, s_tmax: it is added where σ is between them.
        s_noise: factor of all noise on the way.
    """

    eta: float | None = None
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = inf
    s_noise: float = 1.0


NO_OPTIONS = SamplerOptions()

SamplerFunction = Callable[[Denoiser, Tensor, Tensor, NoiseSource, SamplerOptions], Tensor]
"""(denoiser, latents at the first level, levels, noise source, options) to finished latents."""


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """A row of the sampler table with its functions.

    Attributes:
        row: its names and its cost.
        spacing: a number of steps to levels, the noisiest first, one more than steps.
        to_zero: whether the last of these is 0, see `SchedulerRow`.
        start: noise, and perhaps an image, to latents at the first level.
        run: samples from the first level to the last.
    """

    row: SamplerRow
    spacing: Spacing
    to_zero: bool = True
    start: Start
    run: SamplerFunction
