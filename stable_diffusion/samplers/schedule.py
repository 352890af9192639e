"""Noise levels: those a model was trained on, and those a sampler visits.

Two scales name the same level. A timestep t counts the model's training levels, 0 (least noise)
to 999. σ is the standard deviation of the noise on latents that are themselves left unscaled,
σ² = (1 − ᾱ)/ᾱ. Sources: Rombach et al. 2022 (arXiv:2112.10752) for the schedule; Song et al.
2021 (DDIM, arXiv:2010.02502) and CompVis `make_ddim_timesteps` for the timesteps; Karras et al.
2022 (arXiv:2206.00364), equation 5, for the Karras spacing; k-diffusion `DiscreteSchedule` for σ.
"""

from collections.abc import Callable

import torch
from torch import Tensor

KARRAS_RHO = 7.0
DISTILLATION_STEPS = 50
"""Into how many the trained levels were divided to distil an LCM (its paper, section 4.3)."""
LAST_ALPHA = 4.8973451890853435e-08
"""ᾱ in place of 0, at which σ would be infinite; AUTOMATIC1111 and ComfyUI have the same."""


def scaled_linear_alphas_cumprod(
    count: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012
) -> Tensor:
    """ᾱ of Stable Diffusion, (count,) float64: √β grows linearly from start to end."""
    betas = torch.linspace(beta_start**0.5, beta_end**0.5, count, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


def zero_terminal_snr(alphas_cumprod: Tensor) -> Tensor:
    """ᾱ rescaled so that the last level is pure noise, but for `LAST_ALPHA`.

    Source: Lin et al. 2023 (arXiv:2305.08891), algorithm 1.
    """
    roots = alphas_cumprod.sqrt()
    first, last = roots[0], roots[-1]
    rescaled = ((roots - last) * first / (first - last)) ** 2
    rescaled[-1] = LAST_ALPHA
    return rescaled


class NoiseSchedule:
    """The noise levels a model was trained on.

    Attributes:
        alphas_cumprod: ᾱ, (1000,) float64 on the CPU, falling from nearly 1.
        sigmas: σ of every training level, (1000,) float32 on the CPU, rising.
        sigma_min, sigma_max: the ends of `sigmas`, 0.0292 and 14.6146 for Stable Diffusion.
    """

    def __init__(self, alphas_cumprod: Tensor | None = None) -> None:
        if alphas_cumprod is None:
            alphas_cumprod = scaled_linear_alphas_cumprod()
        self.alphas_cumprod = alphas_cumprod
        self.sigmas = ((1 - alphas_cumprod) / alphas_cumprod).sqrt().float()
        self.sigma_min, self.sigma_max = self.sigmas[0].item(), self.sigmas[-1].item()
        self._log_sigmas = self.sigmas.log()

    def sigma(self, timestep: Tensor) -> Tensor:
        """σ at timesteps 0 to 999, fractional ones included (log σ is interpolated); float32."""
        low = timestep.floor().long()
        share = (timestep - low).float()
        logs = self._log_sigmas.to(timestep.device)
        return logs[low].lerp(logs[timestep.ceil().long()], share).exp()

    def timestep(self, sigma: Tensor) -> Tensor:
        """The timestep of σ, same shape, float32: the inverse of `sigma`, clamped to 0 to 999."""
        logs = self._log_sigmas.to(sigma.device)
        log_sigma = sigma.log()
        high = torch.searchsorted(logs, log_sigma).clamp(1, len(logs) - 1)
        low = high - 1
        share = (log_sigma - logs[low]) / (logs[high] - logs[low])
        return low + share.clamp(0, 1)

    def model_sigmas(self, steps: int) -> Tensor:
        """σ from `sigma_max` to `sigma_min` at timesteps evenly apart, then 0: (steps + 1,)."""
        timesteps = torch.linspace(len(self.sigmas) - 1, 0, steps)
        return append_zero(self.sigma(timesteps))

    def karras_sigmas(self, steps: int) -> Tensor:
        """σ from `sigma_max` to `sigma_min`, its ρ-th root evenly apart, then 0: (steps + 1,)."""
        return append_zero(karras_levels(steps, self.sigma_max, self.sigma_min))

    def unipc_sigmas(self, steps: int) -> Tensor:
        """σ from `sigma_max` to `sigma_min` at timesteps evenly apart: (steps + 1,)."""
        return self.sigma(torch.linspace(len(self.sigmas) - 1, 0, steps + 1))

    def lcm_sigmas(self, steps: int) -> Tensor:
        """σ at timesteps evenly apart among those of the distillation, then 0: (steps + 1,).

        These are 999, 979 … 19, as diffusers' `LCMScheduler` and `TCDScheduler` have them; with
        more steps than that, all trained ones.
        """
        count = len(self.alphas_cumprod)
        divided = DISTILLATION_STEPS if steps <= DISTILLATION_STEPS else count
        passed = torch.arange(steps) * divided // steps
        return append_zero(self.sigmas[count - 1 - passed * (count // divided)])

    def ddim_timesteps(self, steps: int) -> Tensor:
        """Timesteps 1, 1 + c, 1 + 2c … with c = ⌊1000/steps⌋, from the last to the first, then 0.

        This is CompVis's uniform spacing held to `steps` levels (diffusers: "leading", with an
        offset of 1). Rounding c down omits the noisiest part of the schedule, which above 100
        steps can be most of it; there each level is rounded by itself. A single step starts at the
        noisiest level, since at level 1 the network would take noise for a finished picture.

        Returns:
            (steps + 1,) int64, falling.
        """
        count = len(self.alphas_cumprod)
        k = torch.arange(steps)
        if steps == 1:
            first = torch.tensor([count - 1])
        elif steps <= count // 10:
            first = k * (count // steps) + 1
        else:
            first = (k * count // steps + 1).clamp(max=count - 1)
        return torch.cat([first.flip(0), torch.tensor([0])])


# A schedule and a number of steps to steps + 1 levels, the noisiest first.
Spacing = Callable[[NoiseSchedule, int], Tensor]


def without_penultimate(spacing: Spacing) -> Spacing:
    """The same spacing with one more step, without the last level before 0.

    The step to the smallest σ is so long, measured in log σ, that solvers of higher order
    overshoot: DPM2 and DPM++ 3M SDE (AUTOMATIC1111's "discard penultimate sigma"), and on
    the model's own levels, where that step is longest, DPM++ 2M SDE. With as many steps as trained
    levels there is no further one, and none is left out.
    """

    def levels(schedule: NoiseSchedule, steps: int) -> Tensor:
        if steps == len(schedule.sigmas):
            return spacing(schedule, steps)
        sigmas = spacing(schedule, steps + 1)
        return torch.cat([sigmas[:-2], sigmas[-1:]])

    return levels


def karras_levels(count: int, high: float, low: float) -> Tensor:
    """σ from `high` to `low`, its ρ-th root evenly apart: (count,) float32."""
    first, last = torch.tensor([high, low], dtype=torch.float64) ** (1 / KARRAS_RHO)
    ramp = torch.linspace(0, 1, count, dtype=torch.float64)
    return (first + ramp * (last - first)).float() ** KARRAS_RHO


def append_zero(sigmas: Tensor) -> Tensor:
    """The levels with 0 after them."""
    return torch.cat([sigmas, sigmas.new_zeros(1)])
