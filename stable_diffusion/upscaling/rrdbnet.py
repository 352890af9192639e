"""RRDBNet, the network of ESRGAN (Wang et al. 2018) as Real-ESRGAN publishes it (Wang et al. 2021).

An image is converted to features, residual-in-residual dense blocks refine them, and two
nearest-neighbour upsamplings with convolutions make them four times as large. A network with a
smaller scale first applies pixel unshuffle (the reverse of Shi et al. 2016), and so computes on a
smaller image. The modules have the names of the published files.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESIDUAL_SCALE = 0.2  # β in figure 4 of ESRGAN
# Names in the first published ESRGAN files, as regular expressions → current names.
_OLD_NAMES = (
    (r"^model\.0\.", "conv_first."),
    (r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"^model\.1\.sub\.\d+\.(?=weight$|bias$)", "conv_body."),
    (r"^model\.3\.", "conv_up1."),
    (r"^model\.6\.", "conv_up2."),
    (r"^model\.8\.", "conv_hr."),
    (r"^model\.10\.", "conv_last."),
    (r"^RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2."),
    (r"^trunk_conv\.", "conv_body."),
    (r"^upconv([12])\.", r"conv_up\1."),
    (r"^HRconv\.", "conv_hr."),
)


@dataclass(frozen=True)
class RRDBShape:
    """The sizes of an RRDBNet, all of which can be read off the shapes of its tensors.

    Attributes:
        scale: factor of both sides of an image, 4 or 2.
        features: channels between the blocks (`num_feat`).
        blocks: residual-in-residual dense blocks (`num_block`).
        growth: channels that each convolution of a dense block adds (`num_grow_ch`).
    """

    scale: int
    features: int
    blocks: int
    growth: int

    @property
    def unshuffle(self) -> int:
        """Side of the square of pixels that pixel unshuffle converts to channels."""
        return 4 // self.scale

    @property
    def reach(self) -> int:
        """Radius of the receptive field, in pixels of the input."""
        trunk = 2 + 15 * self.blocks  # 3 x 3 convolutions, each of which adds one
        return self.unshuffle * (trunk + 2)  # the others, on finer grids, add 5/4


def current_names(names: frozenset[str]) -> dict[str, str]:
    """Current name of each tensor → its name in the file, in any of the published formats."""
    renamed: dict[str, str] = {}
    for name in names:
        current = name
        for old, new in _OLD_NAMES:
            current = re.sub(old, new, current)
        renamed[current] = name
    return renamed


def shape_of(shapes: Mapping[str, tuple[int, ...]]) -> RRDBShape | None:
    """Recognise an RRDBNet by the shapes of its tensors; None: it is another network."""
    first = shapes.get("conv_first.weight", ())
    grown = shapes.get("body.0.rdb1.conv1.weight", ())
    if len(first) != 4 or len(grown) != 4 or first[1] not in (3, 12):
        return None
    numbers = {int(name.split(".")[1]) for name in shapes if re.match(r"body\.\d+\.", name)}
    return RRDBShape(4 if first[1] == 3 else 2, first[0], len(numbers), grown[0])


class DenseBlock(nn.Module):
    """Five convolutions, each of which takes the outputs of all before it (figure 4, right)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, growth, 3, padding=1)
        self.conv2 = nn.Conv2d(features + growth, growth, 3, padding=1)
        self.conv3 = nn.Conv2d(features + 2 * growth, growth, 3, padding=1)
        self.conv4 = nn.Conv2d(features + 3 * growth, growth, 3, padding=1)
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat((seen, _activated(convolution(seen))), 1)
        return x + RESIDUAL_SCALE * self.conv5(seen)


class ResidualBlock(nn.Module):
    """Three dense blocks within a residual (figure 4, left)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(features, growth)
        self.rdb2 = DenseBlock(features, growth)
        self.rdb3 = DenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        return x + RESIDUAL_SCALE * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(nn.Module):
    """Images (n, 3, h, w) in 0..1 → (n, 3, scale·h, scale·w), about 0..1, not clipped.

    h and w must be multiples of `shape.unshuffle`.
    """

    def __init__(self, shape: RRDBShape) -> None:
        super().__init__()
        self.shape = shape
        features, growth = shape.features, shape.growth
        self.conv_first = nn.Conv2d(3 * shape.unshuffle**2, features, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(features, growth) for _ in range(shape.blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up2 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.conv_first(F.pixel_unshuffle(images, self.shape.unshuffle))
        x = x + self.conv_body(self.body(x))
        x = _activated(self.conv_up1(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        x = _activated(self.conv_up2(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        return self.conv_last(_activated(self.conv_hr(x)))


def _activated(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)
