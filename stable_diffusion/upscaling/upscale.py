"""Upscaling of images by a network, tile by tile.

    upscaler = load_upscaler(Path("RealESRGAN_x4plus.pth"))
    large = upscale(upscaler, image)

The network is recognised by its tensors, never by the file's name.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from stable_diffusion.cuda.device_thread import thread_of, with_index
from stable_diffusion.errors import NumericalError, UnreadableModel
from stable_diffusion.image import to_image, to_tensor
from stable_diffusion.networks import moved
from stable_diffusion.upscaling.rrdbnet import RRDBNet, RRDBShape, current_names, shape_of
from stable_diffusion.weights.checkpoint import Checkpoint, open_checkpoint

# Values in the largest feature map of one tile: 128 MB, of which a few exist at once.
TILE_VALUES = 2**25
LARGEST_TILE = 512
# Pixels of neighbouring tiles around each tile, or fewer if the network's receptive field is
# smaller. Pixels further away change no output by a whole grey level.
OVERLAP = 32
OnTile = Callable[[float], object]
"""Gets the share of the image that is done before a tile, from 0 up to, but not including, 1."""


@dataclass(frozen=True)
class Upscaler:
    """What `load_upscaler` returns. Immutable, and so safe to share between threads.

    Attributes:
        name: the file's, without its suffix.
        scale: factor of both sides of an image.
    """

    name: str
    network: RRDBNet
    device: torch.device

    @property
    def scale(self) -> int:
        return self.network.shape.scale

    @property
    def overlap(self) -> int:
        """Pixels of context around a tile, a multiple of the unshuffle factor."""
        return min(self.network.shape.reach, OVERLAP)

    @property
    def tile(self) -> int:
        """Side of a tile in pixels, without its context, limited by `TILE_VALUES`."""
        side = math.isqrt(TILE_VALUES // self.network.shape.features) // self.scale
        return min(LARGEST_TILE, side - side % 8)


def load_upscaler(path: Path, *, device: torch.device | str = "cpu") -> Upscaler:
    """Load an RRDBNet: Real-ESRGAN's x4 and x2 files and ESRGAN's, .pth or .safetensors.

    Raises:
        ModelNotFound: there is no such file.
        UnreadableModel: it is damaged, unsafe, or another network; the message says what was found.
    """
    device = with_index(device)
    checkpoint = open_checkpoint(path)
    names = current_names(checkpoint.names)
    tensors = {name: checkpoint.read(stored) for name, stored in names.items()}
    shape = shape_of({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if shape is None:
        raise _refusal(checkpoint)
    with torch.device("meta"):
        network = RRDBNet(shape)
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if {name: tensor.shape for name, tensor in tensors.items()} != expected:
        odd = sorted(
            names.get(name, name)
            for name in expected.keys() | tensors.keys()
            if name not in expected or name not in tensors or expected[name] != tensors[name].shape
        )
        raise UnreadableModel(
            f"upscaler file {path.name!r} is not a whole RRDBNet of {shape.features} features and "
            f"{shape.blocks} blocks; missing, misshapen or too many: {', '.join(odd[:4])}"
        )
    floats = {name: tensor.to(device, torch.float32) for name, tensor in tensors.items()}
    network.load_state_dict(floats, assign=True)
    network.eval().requires_grad_(False)
    return Upscaler(path.stem, moved(network, channels_last=True), device)


def upscale(
    upscaler: Upscaler, image: Image.Image, on_tile: OnTile = lambda _: None
) -> Image.Image:
    """An RGB image of any size → one `upscaler.scale` times as large. Deterministic.

    Args:
        on_tile: called before every tile, in the same thread. Cancel by raising an exception in
            it, which is propagated.

    Raises:
        NumericalError: the network returned NaN or infinity.
    """
    scale, margin = upscaler.scale, upscaler.overlap
    padded = _padded(to_tensor(image), margin, upscaler.network.shape)
    large = Image.new("RGB", (image.width * scale, image.height * scale))
    tiles = list(_tiles(image.width, image.height, upscaler.tile))
    for number, (left, top, right, bottom) in enumerate(tiles):
        on_tile(number / len(tiles))
        fold = upscaler.network.shape.unshuffle
        width, height = (side + -side % fold for side in (right - left, bottom - top))
        window = padded[:, top : top + height + 2 * margin, left : left + width + 2 * margin]
        output = _on_device(upscaler, window)[:, scale * margin :, scale * margin :]
        inner = output[:, : scale * (bottom - top), : scale * (right - left)]
        large.paste(to_image(inner), (scale * left, scale * top))
    return large


def doubled(
    upscaler: Upscaler, image: Image.Image, on_tile: OnTile = lambda _: None
) -> Image.Image:
    """An RGB image twice as large, with any upscaler; otherwise as `upscale`."""
    large = upscale(upscaler, image, on_tile)
    if upscaler.scale == 2:
        return large
    return large.resize((2 * image.width, 2 * image.height), Image.Resampling.LANCZOS)


def _on_device(upscaler: Upscaler, window: Tensor) -> Tensor:
    thread = thread_of(upscaler.device)
    enlarge = partial(_enlarged, upscaler, window)
    return thread.run(enlarge) if thread else enlarge()


@torch.inference_mode()
def _enlarged(upscaler: Upscaler, window: Tensor) -> Tensor:
    """(3, h, w) → (3, scale·h, scale·w), both in -1..1, on the CPU."""
    folded = window[None].to(upscaler.device, memory_format=torch.channels_last)
    output = upscaler.network((folded + 1) / 2)[0].float().cpu() * 2 - 1
    if not output.isfinite().all():
        raise NumericalError(f"the upscaler {upscaler.name} returned NaN or infinity")
    return output


def _padded(image: Tensor, margin: int, shape: RRDBShape) -> Tensor:
    """The image with its edge pixels repeated around it, so that tiles at the edge have context.

    Below and on the right there are more, for sides that are no multiple of the unshuffle factor.
    """
    more = shape.unshuffle - 1
    padding = (margin, margin + more, margin, margin + more)
    return F.pad(image[None], padding, mode="replicate")[0]


def _tiles(width: int, height: int, side: int) -> Iterator[tuple[int, int, int, int]]:
    """Left, top, right, bottom of tiles of about equal size, at most `side`, that cover all."""
    for (top, bottom), (left, right) in product(_cuts(height, side), _cuts(width, side)):
        yield left, top, right, bottom


def _cuts(length: int, side: int) -> list[tuple[int, int]]:
    count = math.ceil(length / side)
    # all but the last at multiples of the largest unshuffle factor
    marks = [length * i // count // 4 * 4 for i in range(count)] + [length]
    return list(pairwise(marks))


def _refusal(checkpoint: Checkpoint) -> UnreadableModel:
    found = ", ".join(sorted(checkpoint.names)[:3]) or "no tensors"
    return UnreadableModel(
        f"upscaler file {checkpoint.path.name!r} is not an RRDBNet that makes pictures 2 or 4 "
        f"times larger, as ESRGAN and Real-ESRGAN publish them; found: {found}"
    )
