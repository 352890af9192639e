"""Linear layers in float32 through oneDNN.

PyTorch multiplies float32 matrices with MKL, whose way for processors that are not Intel's is half
as quick. oneDNN, which PyTorch has with it for convolutions, knows no such difference.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether this PyTorch was built with oneDNN and has its operator for linear layers."""
_LITTLE = 2**20
"""Multiplications below which oneDNN takes longer to begin than MKL to finish."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x·Wᵀ + b` in the quickest way there is: (…, in), (out, in), (out,) → (…, out).

    For other types than float32 PyTorch's first choice is as quick; and whoever trains needs it.
    """
    mine = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"
    little = x.numel() * weight.shape[0] < _LITTLE
    if not mine or little or not AVAILABLE or torch.is_grad_enabled():
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class QuickLinear(nn.Linear):
    """A linear layer that takes that way."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as the parent calls it
        return linear(input, self.weight, self.bias)
