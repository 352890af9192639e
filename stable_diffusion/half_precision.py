"""Half precision, used with `precision: autocast` where the device gains by it.

A model is loaded with its UNet in half precision. Its decoder is converted for each picture: that
takes a hundredth of the time of decoding, and no memory while it waits. Only a CPU decodes in half
precision, in bfloat16, which has the range of float32; the activations of autoencoders exceed that
of float16, which a GPU would use.

The weights are converted once, not by torch's autocast at every evaluation: for Stable Diffusion 1
on a CPU that conversion takes a fifth of the time, and on a GPU it fills the memory. The layers of
a large model convert their weights as they compute, see `Family.large`.
"""

from functools import cache

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from stable_diffusion.families.family import Family
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.weights.mapped import MappedFiles

ON_GPU = torch.float16


@cache
def cpu_has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; where it does not, float32 is faster."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def half_type(family: Family, device: torch.device) -> torch.dtype | None:
    """The half-precision type in which a UNet is faster on a device; None: float32 is faster.

    Converting a small network's activations to bfloat16 and back costs a CPU more than it saves.
    """
    if device.type == "cuda":
        return ON_GPU
    faster = device.type == "cpu" and not family.small and cpu_has_fast_bfloat16()
    return torch.bfloat16 if faster else None


def half_decoder(vae: AutoencoderKL, dtype: torch.dtype) -> AutoencoderKL:
    """The autoencoder with its decoder in `dtype`, and an encoder that it shares."""
    files = MappedFiles()
    weights: dict[str, Tensor] = {}
    for part, module in vae.named_children():
        if part in ("decoder", "post_quant_conv"):
            for name, weight in module.named_parameters(part):
                weights[name] = weight.detach().to(dtype)
                files.release(weight)
    return clone_sharing_weights(vae, weights)
