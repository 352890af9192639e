"""A UNet in bfloat16 beside the one in float32, for CPUs that multiply it in hardware.

Cast once, and not by autocast at every evaluation: of a full-size network that takes a fifth of the
time.
"""

from dataclasses import replace
from functools import cache

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from stable_diffusion.networks import Networks
from stable_diffusion.sharing import twin
from stable_diffusion.variants import Variant


@cache
def cpu_has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; where it does not, float32 is quicker."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def half_pays(variant: Variant, device: torch.device) -> bool:
    """Whether `precision: autocast` is quicker in bfloat16 for networks of this size, here.

    Of small ones, the way into bfloat16 and back outweighs the gain.
    """
    return device.type == "cpu" and not variant.small and cpu_has_fast_bfloat16()


def with_half(networks: Networks) -> Networks:
    """The networks with a UNet in bfloat16 beside the first, if they have none yet."""
    return networks if networks.half else replace(networks, half=_in_half(networks.unet))


def _in_half(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    halves = {name: weight.detach().bfloat16() for name, weight in unet.named_parameters()}
    return twin(unet, halves)
