"""Writes networks as a checkpoint in the original Stable Diffusion layout."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from stable_diffusion.families.family import Family, Prediction
from stable_diffusion.networks import Networks
from stable_diffusion.weights.checkpoint import PREDICTION_KEY


def save_checkpoint(
    networks: Networks,
    family: Family,
    path: Path,
    prediction: Prediction = "epsilon",
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write the networks in the original layout as .safetensors, whole or not at all."""
    partial = path.with_suffix(".partial")
    metadata = {PREDICTION_KEY: prediction, "format": "pt"}
    save_file(original_tensors(networks, family, dtype), partial, metadata)
    partial.replace(path)


def original_tensors(
    networks: Networks, family: Family, dtype: torch.dtype = torch.float16
) -> dict[str, Tensor]:
    """The networks' weights on the CPU, by their keys in the original layout."""
    thirds: dict[str, dict[int, Tensor]] = {}
    tensors: dict[str, Tensor] = {}
    for part in family.parts:
        for name, parameter in networks.parts[part.name].named_parameters():
            key, third, transposed = part.original(name)
            tensor = parameter.detach().to("cpu", dtype)
            tensor = (tensor.T if transposed else tensor).contiguous()
            if third is None:
                tensors[key] = tensor
            else:
                thirds.setdefault(key, {})[third] = tensor
    for key, stacked in thirds.items():
        tensors[key] = torch.cat([stacked[third] for third in sorted(stacked)])
    for part in family.parts:
        tensors |= part.additional_tensors(tensors)
    return tensors
