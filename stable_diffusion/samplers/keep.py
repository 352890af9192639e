"""Puts the init image back at every evaluation, where a mask keeps it.

What is kept is the init image in the estimate of the denoised latents; at every noise level it then
is the init image with the sampler's own noise. So one change serves all samplers. It is what
AUTOMATIC1111 does in its denoiser. For a deterministic sampler it equals diffusers' way, which
replaces the latents after each step by the init image with the first noise.

A mask between 0 and 1 says how much may change: the later a step, the smaller the values that are
not put back any more. Source: Levin and Fried 2023 (Differential Diffusion, arXiv:2306.00950), with
the thresholds of diffusers' community pipeline. AUTOMATIC1111 rounds masks to 0 and 1 instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stable_diffusion.samplers.estimate import Estimate

_SAME_LEVEL = 1e-3
"""Timesteps that are nearer than this are the same, computed on different devices."""


@dataclass(frozen=True, eq=False)
class Keep:
    """An `EstimateChange`.

    Attributes:
        init: (1, C, h, w) latents of the init image.
        mask: (h, w) in 0..1, where 0 is kept to the end and 1 never.
        timesteps: the levels at which the steps start, as timesteps, falling.
        soft_only: leave what the mask keeps to the end to the network, and put back only what may
            change in part.
    """

    init: Tensor
    mask: Tensor
    timesteps: Sequence[float]
    soft_only: bool = False

    def __call__(self, estimate: Estimate) -> Estimate:
        """The estimate with the init image in place of what is kept in this step."""
        kept = self.kept(self.step(estimate.level.timestep.flatten()[0].item()))
        if not kept.any():
            return estimate
        return estimate.with_denoised(torch.where(kept, self.init, estimate.denoised()))

    def step(self, timestep: float) -> int:
        """Which step an evaluation at this level belongs to, from 0."""
        return sum(timestep <= start + _SAME_LEVEL for start in self.timesteps[1:])

    def kept(self, step: int) -> Tensor:
        """(h, w) bool: what is put back in a step."""
        done = (step + 1) / len(self.timesteps)
        kept = 1 - self.mask > done
        return kept & (self.mask > 0) if self.soft_only else kept | (self.mask == 0)
