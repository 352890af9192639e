"""Writes what was trained, for use."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor


def save_half(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Write tensors in float16, whole or not at all."""
    halves = {
        name: tensor.detach().to("cpu", torch.float16).contiguous()
        for name, tensor in tensors.items()
    }
    partial = path.with_suffix(".partial")
    save_file(halves, partial, dict(metadata))
    partial.replace(path)
