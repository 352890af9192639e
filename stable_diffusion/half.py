"""A UNet in half precision beside the one in float32, where `precision: autocast` gains by it.

Cast once, and not by torch's autocast at every evaluation: of a full-size network on a CPU that
takes a fifth of the time, and on a GPU it is what fills the memory.
"""

from dataclasses import replace
from functools import cache

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from stable_diffusion.networks import Networks
from stable_diffusion.sharing import clone_sharing_weights
from stable_diffusion.variants import Variant

ON_GPU = torch.float16


@cache
def cpu_has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; where it does not, float32 is quicker."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def half_type(variant: Variant, device: torch.device) -> torch.dtype | None:
    """The type in which networks of this size are quicker on a device; None: float32.

    Of small ones, a CPU takes longer into bfloat16 and back than it gains.
    """
    if device.type == "cuda":
        return ON_GPU
    gains = device.type == "cpu" and not variant.small and cpu_has_fast_bfloat16()
    return torch.bfloat16 if gains else None


def with_half(networks: Networks, dtype: torch.dtype) -> Networks:
    """The networks with a UNet in `dtype` beside the first, if they have none yet."""
    if networks.half:
        return networks
    return replace(networks, half=_cast(networks.unet, dtype))


def _cast(unet: UNet2DConditionModel, dtype: torch.dtype) -> UNet2DConditionModel:
    weights = {name: weight.detach().to(dtype) for name, weight in unet.named_parameters()}
    return clone_sharing_weights(unet, weights)
