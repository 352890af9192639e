"""Linear layers in float32 through oneDNN.

PyTorch multiplies float32 matrices with MKL, whose code path for processors of other vendors than
Intel is half as fast. oneDNN, which PyTorch includes for convolutions, makes no such difference.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stable_diffusion.cpu.conversion import in_type

AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether this PyTorch was built with oneDNN and has its operator for linear layers."""
_MIN_PRODUCTS = 2**20
"""Multiplications below which the overhead of oneDNN's call exceeds the time of MKL."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x·Wᵀ + b` by the fastest kernel: (…, in), (out, in), (out,) → (…, out).

    For types other than float32 PyTorch's default is as fast; training needs it for its gradients.
    """
    supported = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"
    small = x.numel() * weight.shape[0] < _MIN_PRODUCTS
    if not supported or small or not AVAILABLE or torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class QuickLinear(nn.Linear):
    """A linear layer that calls `linear`; its weights may have another type than its input."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as the parent calls it
        bias = None if self.bias is None else in_type(self.bias, input.dtype)
        return linear(input, in_type(self.weight, input.dtype), bias)
