"""Latents that are evaluated a few at a time, part by part of a UNet.

With whole evaluations of a few latents, a streamed UNet would be copied once for each of them.
"""

from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from stable_diffusion.offload.plan import PARTS


def split_rows(unet: UNet2DConditionModel, at_once: int) -> None:
    """Have every part of a UNet compute at most `at_once` latents at a time.

    Args:
        unet: used by nothing else; its weights may be shared.
    """
    for module in unet.modules():
        if isinstance(module, PARTS):
            _split_rows(module, at_once)


def _split_rows(part: nn.Module, at_once: int) -> None:
    whole = part.forward

    def forward(first: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        n = len(first)

        def rows(value: Any, start: int) -> Any:
            is_batch = isinstance(value, Tensor) and value.ndim > 0 and len(value) == n
            return value[start : start + at_once] if is_batch else value

        outputs = [
            whole(
                *(rows(value, start) for value in (first, *args)),
                **{name: rows(value, start) for name, value in kwargs.items()},
            )
            for start in range(0, n, at_once)
        ]
        return torch.cat(outputs) if len(outputs) > 1 else outputs[0]

    part.forward = forward
