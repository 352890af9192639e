"""What a user adds to a model for pictures in four steps, full size, of random weights."""

import math
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from safetensors.torch import save_file
from torch import Tensor, nn

from stable_diffusion.families.family import Family
from stable_diffusion.families.sd1 import SD1
from stable_diffusion.weights.state_dict_loading import empty_networks

RANK = 64
"""That of LCM-LoRA."""
CHANGE = 0.01
"""The size of a LoRA's change of a layer, relative to its weights of `random_checkpoint`."""
_LEFT_ALONE = ("conv_in", "conv_out", "time_embedding.linear_1", "time_embedding.linear_2")


def random_lora(path: Path, family: Family = SD1) -> Path:
    """Write a LoRA of all layers of the UNet, as LCM-LoRA is: kohya's names, half precision."""
    random = torch.Generator().manual_seed(2)
    tensors: dict[str, Tensor] = {}
    for name, layer in empty_networks(family).unet.named_modules():
        if not isinstance(layer, (nn.Linear, nn.Conv2d)) or name in _LEFT_ALONE:
            continue
        outputs, *inputs = layer.weight.shape
        point = [1] * (len(inputs) - 1)
        for factor, shape, variance in (
            ("down", (RANK, *inputs), 1 / math.prod(inputs)),
            ("up", (outputs, RANK, *point), CHANGE**2 / RANK),
        ):
            bound = math.sqrt(3 * variance)
            piece = torch.empty(shape).uniform_(-bound, bound, generator=random)
            tensors[f"lora_unet_{name.replace('.', '_')}.lora_{factor}.weight"] = piece.half()
        tensors[f"lora_unet_{name.replace('.', '_')}.alpha"] = torch.tensor(float(RANK)).half()
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def random_small_autoencoder(path: Path) -> Path:
    """Write a TAESD of the published size, with the names of diffusers."""
    torch.manual_seed(3)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = AutoencoderTiny().state_dict()
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path
