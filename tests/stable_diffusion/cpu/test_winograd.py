"""Winograd's convolution computes what PyTorch's computes, with a quarter of the products."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from stable_diffusion.cpu import winograd
from stable_diffusion.cpu.convolution import QuickConvolution

MEBIBYTE = 2**20


def layer(inputs: int, outputs: int, **arguments: object) -> QuickConvolution:
    """A 3x3 convolution that keeps the size."""
    made = QuickConvolution(inputs, outputs, 3, padding=1, **arguments)  # type: ignore[arg-type]
    return made.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def difference(ours: Tensor, exact: Tensor) -> float:
    """The relative error."""
    return float((ours - exact).norm() / exact.norm())


@pytest.mark.parametrize("cached", [2**10, 2**16, 24 * MEBIBYTE], ids="{} bytes at a time".format)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("padding", ["constant", "circular"])
@pytest.mark.parametrize("size", [(1, 8, 12), (2, 5, 9), (1, 1, 1), (3, 7, 2)])
@torch.inference_mode()
def test_it_convolves_as_pytorch(
    size: tuple[int, int, int],
    padding: str,
    bias: bool,
    cached: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(winograd, "_CACHED_BYTES", cached)
    random = torch.Generator().manual_seed(1)
    x = torch.randn(size[0], 12, *size[1:], generator=random)
    weight, offset = (torch.randn(7, *rest, generator=random) for rest in ([12, 3, 3], []))
    offset = offset if bias else None
    exact = F.conv2d(F.pad(x, [1] * 4, padding).double(), weight.double())
    exact = exact if offset is None else exact + offset.double().view(-1, 1, 1)
    ours = winograd.convolve(x, weight, offset, padding)
    assert (ours.shape, ours.dtype) == (exact.shape, torch.float32)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert difference(ours.double(), exact) < 1e-5


@pytest.mark.parametrize(
    ("convolution", "side", "share"),
    [
        (layer(256, 256), 32, 0.4),
        (layer(256, 256, padding_mode="circular"), 32, 0.4),
        (layer(256, 256), 16, 1.0),  # few positions
        (layer(128, 256), 32, 1.0),  # few channels
        (layer(256, 128), 32, 1.0),
        (layer(256, 256).bfloat16(), 32, 1.0),  # too few digits
        (layer(256, 256, groups=2), 32, 1.0),
        (layer(256, 256, dilation=3), 32, 1.0),
        (layer(256, 256, stride=2), 64, 1.0),
    ],
    ids=str,
)
@torch.inference_mode()
def test_a_layer_multiplies_less_where_that_is_faster(
    convolution: QuickConvolution, side: int, share: float
) -> None:
    x = torch.randn(1, convolution.in_channels, side, side, dtype=convolution.weight.dtype)
    with FlopCounterMode(display=False) as direct:
        exact = convolution._conv_forward(x, convolution.weight, convolution.bias)
    with FlopCounterMode(display=False) as counted:
        ours = convolution(x)
    assert counted.get_total_flops() <= share * direct.get_total_flops()
    assert (counted.get_total_flops() == direct.get_total_flops()) == (share == 1.0)
    assert difference(ours.float(), exact.float()) < 1e-5


def test_a_layer_still_learns() -> None:
    convolution = layer(256, 256)
    convolution(torch.randn(1, 256, 32, 32)).square().mean().backward()
    assert convolution.weight.grad is not None
    assert convolution.weight.grad.abs().sum() > 0
