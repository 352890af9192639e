"""Where a model's parts live and in which precision they work."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Literal

import torch

Precision = Literal["autocast", "mixed", "full"]


@cache
def cpu_has_fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; where it does not, float32 is quicker."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def network_precision(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """The context in which the UNet is evaluated.

    "full" is float32 throughout; "autocast" and "mixed" multiply in half precision where the
    device gains by it: float16 on CUDA, bfloat16 on a CPU that has it in hardware.
    """
    if precision == "full":
        return nullcontext()
    if device.type == "cuda":
        return torch.autocast("cuda", torch.float16)
    if cpu_has_fast_bfloat16():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()
