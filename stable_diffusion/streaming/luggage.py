"""A UNet packed for streaming: which of its parts stay on the device, which come in turn."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D
from torch import nn

from stable_diffusion.networks import unet_prediction
from stable_diffusion.sharing import twin
from stable_diffusion.streaming.parcel import Parcel
from stable_diffusion.variants import LATENT_CHANNELS

PLACES = 2
"""One to compute from while the next is copied to."""
_PARTS = ResnetBlock2D, BasicTransformerBlock, Downsample2D, Upsample2D
"""What a UNet calls one after another; little is left beside them, and that stays."""


@dataclass(frozen=True)
class Packed:
    """A UNet's weights in main memory.

    Attributes:
        stays: what is on the device as long as the UNet works.
        comes: the others, by the name of the part, in the order in which an evaluation calls them.
    """

    stays: tuple[Parcel, ...]
    comes: dict[str, Parcel]

    @property
    def place_nbytes(self) -> int:
        """Bytes of a place in which those that come take turns."""
        return max((parcel.nbytes for parcel in self.comes.values()), default=0)

    @property
    def nbytes(self) -> int:
        """Bytes of the device's memory that they take."""
        return sum(parcel.nbytes for parcel in self.stays) + PLACES * self.place_nbytes


class Luggage:
    """The packed UNet of one model, kept for its next job. Safe to share between threads.

    Args:
        most: bytes of weights that a job may have on the device at once. It has more if these are
            too few for what always stays and two of the largest parts.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = threading.Lock()
        self._packed: dict[torch.dtype | None, Packed] = {}

    def packed(self, unet: UNet2DConditionModel, dtype: torch.dtype | None = None) -> Packed:
        """The UNet's weights, packed by the first who asks; pinned where there is a GPU.

        Args:
            unet: always the same one, or a twin of it.
            dtype: the type of its numbers on the device; None: as they rest.
        """
        with self._lock:
            if dtype not in self._packed:
                self._packed[dtype] = pack(unet, self.most, dtype)
            return self._packed[dtype]


def pack(unet: UNet2DConditionModel, most: int, dtype: torch.dtype | None = None) -> Packed:
    """Pack a UNet: as much of it stays as `most` bytes have room for, evenly over its parts."""
    pinned = torch.cuda.is_available()
    parts = parts_in_order(unet)
    inside = {name for part in parts for name in _modules(unet, part)}
    rest = [name for name, _ in unet.named_modules() if name not in inside]
    always = Parcel(unet, rest, dtype, pinned=pinned)
    parcels = {part: Parcel(unet, _modules(unet, part), dtype, pinned=pinned) for part in parts}
    sizes = [parcel.nbytes for parcel in parcels.values()]
    staying = set(_spread(sizes, most - always.nbytes))
    return Packed(
        stays=(always, *(p for number, p in enumerate(parcels.values()) if number in staying)),
        comes={
            part: parcel
            for number, (part, parcel) in enumerate(parcels.items())
            if number not in staying
        },
    )


def parts_in_order(unet: UNet2DConditionModel) -> list[str]:
    """The names of the parts, in the order in which an evaluation calls them.

    Found by an evaluation without numbers, on PyTorch's device `meta`.
    """
    ghost = twin(unet, {name: p.to("meta") for name, p in unet.named_parameters()})
    called: list[str] = []
    for name, module in ghost.named_modules():
        if isinstance(module, _PARTS):
            module.register_forward_pre_hook(lambda *_, name=name: called.append(name))
    side = 2 ** len(unet.config["block_out_channels"])
    width = unet.config["cross_attention_dim"]
    with torch.inference_mode(), torch.device("meta"):
        x = torch.empty(1, LATENT_CHANNELS, side, side)
        unet_prediction(ghost, x, torch.empty(1), torch.empty(1, 77, width))
    return called


def _modules(network: nn.Module, part: str) -> list[str]:
    return [f"{part}.{name}".rstrip(".") for name, _ in network.get_submodule(part).named_modules()]


def _spread(sizes: Sequence[int], room: int) -> Iterator[int]:
    """Which of some parts stay in a room, beside the places of those that do not.

    Spread evenly, so that between two that come there is time to copy.
    """
    total = sum(sizes)
    if room >= total:
        yield from range(len(sizes))
        return
    room -= PLACES * max(sizes)
    seen = kept = 0
    for number, size in enumerate(sizes):
        seen += size
        if (kept + size) * total <= room * seen:
            kept += size
            yield number
