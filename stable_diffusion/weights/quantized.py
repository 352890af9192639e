"""The true values of tensors that a file stores in fewer bits.

ComfyUI and TensorRT Model Optimizer store linear layers as float8 values and a factor beside them:
`X.weight` and `X.scale_weight` or `X.weight_scale`, one for the tensor or one for each output.
Plain float8, without factors, is a type like any other. Integers mean nothing without a scheme.
"""

import torch
from torch import Tensor

from stable_diffusion.weights.checkpoint import Checkpoint

_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz)
_FACTORS = ("scale_weight", "weight_scale")
_OF_INPUTS = ("scale_input", "input_scale")
"""Factors for layers that compute in float8; this engine does not."""


def true_values(checkpoint: Checkpoint, key: str) -> tuple[Tensor, str]:
    """A tensor with its factors applied, and what is wrong with it, as a clause; empty: nothing.

    A tensor with factors is returned as float32, any other as it is stored.
    """
    stored = checkpoint.read(key)
    if stored.dtype == torch.bool or not (stored.dtype.is_floating_point or stored.is_complex()):
        return (
            stored,
            f"is stored as {_name(stored.dtype)}, and what its integers mean is not known",
        )
    if stored.dtype not in _FLOAT8:
        return stored, ""
    layer = key.rpartition(".")[0]
    beside = {
        name.rpartition(".")[2]
        for name in checkpoint.names
        if name.startswith(f"{layer}.") and "scale" in name and name.count(".") == key.count(".")
    }
    if not key.endswith(".weight") or not beside - set(_OF_INPUTS):
        return stored, ""
    factor = next((name for name in _FACTORS if name in beside), None)
    if factor is None:
        unknown = ", ".join(sorted(beside - set(_OF_INPUTS)))
        return stored, f"is stored as {_name(stored.dtype)} with unknown factors: {unknown}"
    scale = checkpoint.read(f"{layer}.{factor}").float()
    if scale.numel() not in (1, stored.shape[0]):
        return stored, f"has {scale.numel()} factors in {factor} for {stored.shape[0]} outputs"
    return stored.float() * scale.reshape(-1, *(1,) * (stored.dim() - 1)), ""


def kept_type(stored: torch.dtype) -> torch.dtype | None:
    """The 16-bit type that has all values of a type; None: there is none.

    That of float8 is float16; the values with their factors are rounded to its 11 bits.
    """
    if stored in _FLOAT8:
        return torch.float16
    return stored if stored in (torch.float16, torch.bfloat16) else None


def is_factor(name: str) -> bool:
    """Whether a tensor is a factor of another one, by its name."""
    return name.rpartition(".")[2] in (*_FACTORS, *_OF_INPUTS)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
