"""Where a model's parts live and in which precision they work."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

Precision = Literal["autocast", "mixed", "full"]


def network_precision(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The context in which the UNet is evaluated.

    "full" is float32 throughout; "autocast" and "mixed" multiply in half precision where the
    device gains by it: float16 on CUDA. On a CPU they take another UNet, see `cpu.half`.
    """
    if precision != "full" and device.type == "cuda":
        return torch.autocast("cuda", torch.float16)
    return nullcontext()
