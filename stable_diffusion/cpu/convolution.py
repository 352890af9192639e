"""Convolutions as one multiplication of matrices, where that is quicker.

oneDNN lays a convolution's weights out anew at every call, which of the deepest layers of a UNet
takes longer than to multiply by them. Its matrices it takes as they lie, and a convolution is one:
of the patches around every position, and of the weights, which in the layout "channels last" are
that matrix already. Of single positions no patch need be gathered, and in float32 PyTorch leaves
them to MKL (see `linear`). Source: Chellapilla et al. 2006, section 2.1.
"""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stable_diffusion.cpu import linear

_FEW_POSITIONS = 600
"""Of all pictures together. With more, the new layout is a small share of the time."""
_MANY_WEIGHTS = 2**20
"""Of a layer; the smaller ones are done before the patches are gathered."""


def as_matrices(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution with stride 1 that keeps the size.

    Args:
        x: (n, c, h, w).
        weight: (o, c, k, k) with an odd k, in the layout "channels last".
        bias: (o,).

    Returns:
        (n, o, h, w), in that layout.
    """
    n, _, height, width = x.shape
    rows = _patches(x, weight.shape[-1]).reshape(n * height * width, -1)
    columns = weight.permute(0, 2, 3, 1).reshape(len(weight), -1)
    return linear.linear(rows, columns, bias).view(n, height, width, -1).permute(0, 3, 1, 2)


def _patches(x: Tensor, size: int) -> Tensor:
    """What lies around every position, (n, h, w, k·k·c) when flattened; of one, x as it lies."""
    if size == 1:
        return x.permute(0, 2, 3, 1)
    last = F.pad(x, [size // 2] * 4).permute(0, 2, 3, 1)
    return last.unfold(1, size, 1).unfold(2, size, 1).permute(0, 1, 2, 4, 5, 3)


class QuickConvolution(nn.Conv2d):
    """A convolution that takes the quickest way there is; whoever trains takes PyTorch's."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as the parent calls it
        if self._keeps_size and self._gains(input) and not torch.is_grad_enabled():
            return as_matrices(input, self.weight, self.bias)
        return super().forward(input)

    def _gains(self, x: Tensor) -> bool:
        if x.device.type != "cpu" or not linear.AVAILABLE:
            return False
        if self.kernel_size == (1, 1) and x.dtype == torch.float32:
            return True
        return self.weight.numel() >= _MANY_WEIGHTS and x[:, 0].numel() <= _FEW_POSITIONS

    @cached_property
    def _keeps_size(self) -> bool:
        """Whether it is a plain one that gives as many positions as it gets."""
        padded = self.padding == tuple(k // 2 for k in self.kernel_size)
        plain = self.dilation == (1, 1) and self.groups == 1 and self.padding_mode == "zeros"
        return padded and plain and self.stride == (1, 1)
