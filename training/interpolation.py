"""An RRDBNet whose initial weights interpolate.

The network has no skip connection from input to output: from random weights it needs hours to learn
the identity, and longer to keep gradients smooth. But a few channels of its convolutions can
interpolate exactly as well as bicubic; training then only learns what interpolation misses.

With S = sin²(ω/2) along each axis, ω the frequency on the grid of that layer:

    conv_first   1 + S + S²   on the folded pixels, each phase a channel of its own
    conv_up1     1 - S        and unfolds them: together 1 - S³, almost without loss
    conv_up2     1 - S        on doubled pixels: a quadratic spline
    conv_last    1 + 3/2 S    corrects the spline to the fourth order: as good as bicubic
"""

from itertools import product

import torch
from torch import Tensor, nn

from stable_diffusion.upscaling.rrdbnet import RRDBNet, RRDBShape

SHARPENED = (1 / 16, -1 / 2, 15 / 8, -1 / 2, 1 / 16)  # 1 + S + S²
SMOOTHED = (1 / 4, 1 / 2, 1 / 4)  # 1 - S
CORRECTED = (-3 / 8, 7 / 4, -3 / 8)  # 1 + 3/2 S
# conv_up1 along one axis: of even and odd folded pixels, at the taps -1, 0 and 1. On doubled
# blocks this is SMOOTHED around each pixel, which only filters without the highest frequency allow.
UNFOLDED = ((0.0, 1 / 4, 1 / 4), (1 / 4, 1 / 4, 0.0))
OFFSET = (
    0.25  # offset that keeps sharpened pixels positive, so that the activations do not change them
)
INITIAL_SCALE = 0.01  # of the weights of the other channels


def interpolator(shape: RRDBShape) -> RRDBNet:
    """A new network of scale 2 that interpolates, up to a small contribution of the other channels.

    Raises:
        ValueError: another scale, or less than 12 features (3 colours times 4 phases).
    """
    if shape.scale != 2 or shape.features < 12:
        raise ValueError(f"an interpolator needs scale 2 and 12 features, not {shape}")
    network = RRDBNet(shape)
    with torch.no_grad():
        _fold(network.conv_first)
        _scale(network.conv_body, INITIAL_SCALE)
        _unfold(network.conv_up1)
        _filter(network.conv_up2, SMOOTHED)
        _filter(network.conv_hr, (0.0, 1.0, 0.0))
        _scale(network.conv_last, INITIAL_SCALE)
        _filter(network.conv_last, CORRECTED)
        _bias(network.conv_last)[:] = -OFFSET
    return network


def _fold(convolution: nn.Conv2d) -> None:
    """Channel 4c + 2y + x: colour c at (y, x) of its square of pixels, sharpened."""
    convolution.weight[:12] = 0
    _bias(convolution)[:12] = 0
    taps = torch.tensor([[_taps(phase, source) for source in range(2)] for phase in range(2)])
    for colour, y, x, from_y, from_x in product(range(3), *[range(2)] * 4):
        kernel = torch.outer(taps[y, from_y], taps[x, from_x])
        convolution.weight[4 * colour + 2 * y + x, 4 * colour + 2 * from_y + from_x] = kernel


def _taps(phase: int, source: int) -> list[float]:
    """Along one axis: weights of the `source` pixels of three squares for a pixel of `phase`."""
    distances = [2 * square + source - phase for square in (-1, 0, 1)]
    return [SHARPENED[d + 2] if abs(d) <= 2 else 0.0 for d in distances]


def _unfold(convolution: nn.Conv2d) -> None:
    """Channel c: colour c at every pixel, with OFFSET."""
    convolution.weight[:3] = 0
    _bias(convolution)[:3] = OFFSET
    for colour, y, x in product(range(3), range(2), range(2)):
        kernel = torch.outer(torch.tensor(UNFOLDED[y]), torch.tensor(UNFOLDED[x]))
        convolution.weight[colour, 4 * colour + 2 * y + x] = kernel


def _filter(convolution: nn.Conv2d, kernel: tuple[float, ...]) -> None:
    """Filter channels 0 to 2 along both axes, without any mixing of channels."""
    line = torch.tensor(kernel)
    _bias(convolution)[:3] = 0
    convolution.weight[:3, :3] = 0
    if (
        convolution.out_channels > 3
    ):  # the last convolution keeps its weights for the other channels
        convolution.weight[:3, 3:] = 0
    for colour in range(3):
        convolution.weight[colour, colour] = torch.outer(line, line)


def _scale(convolution: nn.Conv2d, factor: float) -> None:
    convolution.weight *= factor
    _bias(convolution).mul_(factor)


def _bias(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias
