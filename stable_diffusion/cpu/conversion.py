"""Weights in the type in which a layer computes.

The layers of large models keep their weights in the type of their file, and convert them each time
they compute, see `Family.large`.
"""

import torch
from torch import Tensor

_PIECE = 2**18
"""Values that are converted at once: in float32 they fit into a core's cache."""


def in_type(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """The weight itself if it has the type, else a copy, in the same memory layout."""
    if weight.dtype == torch.float16 and dtype == torch.bfloat16 and weight.device.type == "cpu":
        return _by_pieces(weight.detach(), dtype)
    return weight.to(dtype)


def _by_pieces(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """By way of float32: PyTorch has vector instructions for both halves of it only."""
    converted = torch.empty_like(weight, dtype=dtype, memory_format=torch.preserve_format)
    rows = max(1, _PIECE * len(weight) // weight.numel())
    for piece, source in zip(converted.split(rows), weight.split(rows), strict=True):
        piece.copy_(source.float())
    return converted
