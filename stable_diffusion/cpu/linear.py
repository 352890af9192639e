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


def available() -> bool:
    """Whether this PyTorch was built with oneDNN and has its operator for linear layers."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


_AVAILABLE = available()


class QuickLinear(nn.Linear):
    """A linear layer that takes the quickest way there is; whoever trains takes PyTorch's."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as the parent calls it
        mine = input.device.type == "cpu" and input.dtype == self.weight.dtype == torch.float32
        if not mine or not _AVAILABLE or torch.is_grad_enabled():
            return F.linear(input, self.weight, self.bias)
        return linear(input, self.weight, self.bias)


def use_quick_linears(network: nn.Module) -> None:
    """Put a `QuickLinear` in the place of every linear layer; weights are not kept."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                bias = child.bias is not None
                setattr(parent, name, QuickLinear(child.in_features, child.out_features, bias))
