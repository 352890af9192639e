"""Linear layers in float32 through oneDNN.

PyTorch multiplies float32 matrices with MKL, whose way for processors that are not Intel's is half
as quick. oneDNN, which PyTorch has with it for convolutions, knows no such difference.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x·Wᵀ + b` of float32 on a CPU, without a gradient: (…, in), (out, in), (out,) → (…, out)."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


AVAILABLE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
"""Whether this PyTorch was built with oneDNN and has its operator for linear layers."""


class QuickLinear(nn.Linear):
    """A linear layer that takes the quickest way there is; whoever trains takes PyTorch's."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as the parent calls it
        mine = input.device.type == "cpu" and input.dtype == self.weight.dtype == torch.float32
        if not mine or not AVAILABLE or torch.is_grad_enabled():
            return F.linear(input, self.weight, self.bias)
        return linear(input, self.weight, self.bias)
