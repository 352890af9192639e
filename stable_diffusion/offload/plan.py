"""A UNet packed for streaming: which of its parts stay on the device, which come in turn."""

import logging
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D
from torch import nn

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.networks import unet_prediction
from stable_diffusion.offload.pinned_buffer import PinnedBuffer
from stable_diffusion.sharing import clone_sharing_weights
from stable_diffusion.variants import LATENT_CHANNELS

log = logging.getLogger(__name__)

PLACES = 2
"""One to compute from while the next is copied to."""
_PARTS = ResnetBlock2D, BasicTransformerBlock, Downsample2D, Upsample2D
"""What a UNet calls one after another; little is left beside them, and that stays."""


@dataclass(frozen=True)
class OffloadPlan:
    """A UNet's weights in main memory.

    Attributes:
        stays: what is on the device as long as the UNet works.
        comes: the others, by the name of the part, in the order in which an evaluation calls them.
    """

    stays: tuple[PinnedBuffer, ...]
    comes: dict[str, PinnedBuffer]

    @property
    def place_nbytes(self) -> int:
        """Bytes of a place in which those that come take turns."""
        return max((parcel.nbytes for parcel in self.comes.values()), default=0)

    @property
    def nbytes(self) -> int:
        """Bytes of the device's memory that they take."""
        return sum(parcel.nbytes for parcel in self.stays) + PLACES * self.place_nbytes


class OffloadCache:
    """The UNet that was packed last, kept for the next job with it. Safe to share between threads.

    Only one, since what is pinned is memory that the machine cannot use for anything else.

    Args:
        most: see `pack`.
        device: where the weights are wanted.
    """

    def __init__(self, most: int, device: torch.device) -> None:
        self._most = most
        self._device = device
        self._lock = threading.Lock()
        self._unet: Callable[[], UNet2DConditionModel | None] = lambda: None
        self._dtype: torch.dtype | None = None
        self._packed: OffloadPlan | None = None

    def packed(self, unet: UNet2DConditionModel, dtype: torch.dtype | None = None) -> OffloadPlan:
        """The UNet's weights, packed now unless it was the last one.

        Args:
            unet: the model's own, no clone_sharing_weights of it.
            dtype: the type of its numbers on the device; None: as they rest.
        """
        with self._lock:
            if self._packed is None or self._unet() is not unet or self._dtype != dtype:
                self._packed = None  # its memory serves for the next one
                self._packed = pack(unet, self._most, self._device, dtype)
                self._unet, self._dtype = weakref.ref(unet), dtype
                comes = sum(parcel.nbytes for parcel in self._packed.comes.values())
                log.info(
                    "of the UNet's weights %d MB are on the device at once, %d MB come in turn",
                    self._packed.nbytes // 10**6,
                    comes // 10**6,
                )
            return self._packed


def pack(
    unet: UNet2DConditionModel,
    most: int,
    device: torch.device,
    dtype: torch.dtype | None = None,
) -> OffloadPlan:
    """Pack a UNet: as much of it stays as there is room for, evenly over its parts.

    Args:
        most: bytes of its weights on the device at once. They are more if these are too few for
            what always stays and two of the largest parts.
        device: a GPU reads pinned memory by itself, while the processor goes on.
        dtype: as of `PinnedBuffer`.
    """
    parcel = partial(_parcel, unet, dtype=dtype, device=device)
    parts = {part: _modules(unet, part) for part in parts_in_order(unet)}
    inside = {name for modules in parts.values() for name in modules}
    always = parcel([name for name, _ in unet.named_modules() if name not in inside])
    parcels = {part: parcel(modules) for part, modules in parts.items()}
    sizes = {part: parcel.nbytes for part, parcel in parcels.items()}
    staying = _spread(sizes, most - always.nbytes)
    return OffloadPlan(
        stays=(always, *(parcels[part] for part in parcels if part in staying)),
        comes={part: parcel for part, parcel in parcels.items() if part not in staying},
    )


def parts_in_order(unet: UNet2DConditionModel) -> list[str]:
    """The names of the parts, in the order in which an evaluation calls them.

    Found by an evaluation without numbers, on PyTorch's device `meta`.
    """
    ghost = clone_sharing_weights(unet, {name: p.to("meta") for name, p in unet.named_parameters()})
    called: list[str] = []
    for name, module in ghost.named_modules():
        if isinstance(module, _PARTS):
            module.register_forward_pre_hook(lambda *_, name=name: called.append(name))
    side = 2 ** len(unet.config["block_out_channels"])
    width = unet.config["cross_attention_dim"]
    with torch.inference_mode(), torch.device("meta"):
        x = torch.empty(1, LATENT_CHANNELS, side, side)
        unet_prediction(ghost, x, torch.empty(1), Conditioning(torch.empty(1, 77, width)))
    return called


def _modules(network: nn.Module, part: str) -> list[str]:
    return [f"{part}.{name}".rstrip(".") for name, _ in network.get_submodule(part).named_modules()]


def _parcel(
    unet: nn.Module, modules: Sequence[str], *, dtype: torch.dtype | None, device: torch.device
) -> PinnedBuffer:
    if device.type == "cuda":
        try:
            with torch.cuda.device(device):
                return PinnedBuffer(unet, modules, dtype, pinned=True)
        except RuntimeError as error:
            log.warning("weights are copied while nothing computes: %s", error)
    return PinnedBuffer(unet, modules, dtype)


def _spread(sizes: Mapping[str, int], room: int) -> set[str]:
    """Which of some parts stay in a room, beside the places of those that do not.

    Spread evenly, so that between two that come there is time to copy.
    """
    total = sum(sizes.values())
    if room >= total:
        return set(sizes)
    room -= PLACES * max(sizes.values())
    staying: set[str] = set()
    seen = kept = 0
    for part, size in sizes.items():
        seen += size
        if (kept + size) * total <= room * seen:
            kept += size
            staying.add(part)
    return staying
