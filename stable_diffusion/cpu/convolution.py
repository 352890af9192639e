"""Convolutions by other algorithms, where they are faster than PyTorch's.

In float32, 3x3 convolutions of many channels and positions use Winograd's algorithm. Those of few
positions are one matrix multiplication (im2col), as are 1x1 convolutions.

oneDNN reorders a convolution's weights at every call, which takes longer than the multiplication in
the deepest layers of a UNet. It uses matrices without reordering, and a convolution is the product
of the patches around every position and the weights, which in the layout "channels last" are such
a matrix already. 1x1 convolutions need no patches, and PyTorch computes them with MKL in float32
(see `linear`). Source: Chellapilla et al. 2006, section 2.1.
"""

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stable_diffusion.cpu import linear, winograd
from stable_diffusion.cpu.conversion import in_type

_MAX_POSITIONS = 600
"""Positions in a batch above which reordering the weights is a small share of the time."""
_MIN_WEIGHTS = 2**20
"""Weights of a layer below which gathering the patches takes longer than the convolution."""
_MIN_CHANNELS = 256
"""Channels of input and output below which Winograd's transforms take longer than they save."""


def as_matrices(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: str = "constant"
) -> Tensor:
    """A convolution with stride 1 that keeps the size.

    Args:
        x: (n, c, h, w).
        weight: (o, c, k, k) with an odd k, in the layout "channels last".
        bias: (o,).
        padding: what continues the edges, a mode of `torch.nn.functional.pad`.

    Returns:
        (n, o, h, w), in that layout.
    """
    n, _, height, width = x.shape
    rows = _patches(x, weight.shape[-1], padding).reshape(n * height * width, -1)
    columns = weight.permute(0, 2, 3, 1).reshape(len(weight), -1)
    return linear.linear(rows, columns, bias).view(n, height, width, -1).permute(0, 3, 1, 2)


def _patches(x: Tensor, size: int, padding: str) -> Tensor:
    """The patch around every position, (n, h, w, k·k·c) when flattened; a view of x for size 1."""
    if size == 1:
        return x.permute(0, 2, 3, 1)
    last = F.pad(x, [size // 2] * 4, padding).permute(0, 2, 3, 1)
    return last.unfold(1, size, 1).unfold(2, size, 1).permute(0, 1, 2, 4, 5, 3)


class QuickConvolution(nn.Conv2d):
    """A convolution by the fastest kernel; by PyTorch's where gradients are needed.

    Its weights may have another type than its input.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - as the parent calls it
        weight = in_type(self.weight, input.dtype)
        bias = None if self.bias is None else in_type(self.bias, input.dtype)
        # the device first: what is compiled for a GPU must not read a cached property
        if input.device.type == "cpu" and self._keeps_size and not torch.is_grad_enabled():
            padding = "constant" if self.padding_mode == "zeros" else self.padding_mode
            if self._fewer_products_faster(input):
                return winograd.convolve(input, weight, bias, padding)
            if self._matrices_faster(input):
                return as_matrices(input, weight, bias, padding)
        return self._conv_forward(input, weight, bias)

    def _fewer_products_faster(self, x: Tensor) -> bool:
        if self.kernel_size != (3, 3) or x.dtype != torch.float32:
            return False
        many_channels = min(self.in_channels, self.out_channels) >= _MIN_CHANNELS
        return many_channels and x[:, 0].numel() > _MAX_POSITIONS

    def _matrices_faster(self, x: Tensor) -> bool:
        if not linear.AVAILABLE:
            return False
        if self.kernel_size == (1, 1) and x.dtype == torch.float32:
            return True
        return self.weight.numel() >= _MIN_WEIGHTS and x[:, 0].numel() <= _MAX_POSITIONS

    @cached_property
    def _keeps_size(self) -> bool:
        """Whether it is a plain convolution whose output has the size of its input."""
        padded = self.padding == tuple(k // 2 for k in self.kernel_size)
        plain = self.dilation == (1, 1) and self.groups == 1
        return padded and plain and self.stride == (1, 1)
