"""What a sampler is: which levels it visits, where it starts, how it steps, what that costs."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from stable_diffusion.samplers.denoiser import Denoiser
from stable_diffusion.samplers.noise import NoiseSource
from stable_diffusion.samplers.schedule import NoiseSchedule, Spacing

# (schedule, first level, noise (n, C, h, w), image latents or None) to the latents to start from
# at that level: pure noise where there is no image.
Start = Callable[[NoiseSchedule, Tensor, Tensor, Tensor | None], Tensor]
# (denoiser, latents at the first level, levels, noise source, eta) to finished latents.
Run = Callable[[Denoiser, Tensor, Tensor, NoiseSource, float], Tensor]


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """One row of the table.

    Attributes:
        key: its canonical name in requests.
        label: its name for people.
        aliases: further keys.
        spacing: a number of steps to levels, the noisiest first, one more than steps.
        start: noise, and perhaps an image, to latents at the first level.
        run: the way down through the levels.
        evaluations: how many network evaluations a run of so many steps takes.
        exact: whether it takes exactly those; otherwise they are an estimate for one image, and
            images are sampled one by one.
    """

    key: str
    label: str
    aliases: tuple[str, ...] = ()
    spacing: Spacing
    start: Start
    run: Run
    evaluations: Callable[[int], int]
    exact: bool = True

    @property
    def evaluations_per_step(self) -> int:
        """What one step more adds; 0 where steps do not count."""
        return self.evaluations(3) - self.evaluations(2)
