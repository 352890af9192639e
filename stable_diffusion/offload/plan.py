"""Which parts of a UNet are resident on the device, and which are streamed to it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.models.upsampling import Upsample2D
from torch import nn

from stable_diffusion.networks import empty_conditioning, unet_prediction
from stable_diffusion.offload.pinned_buffer import PinnedBuffer
from stable_diffusion.shared_weights import clone_sharing_weights

log = logging.getLogger(__name__)

STREAM_BUFFERS = 2
"""While a part computes from one, the next part is copied to the other."""
PARTS = ResnetBlock2D, BasicTransformerBlock, Downsample2D, Upsample2D
"""The modules that a UNet calls one after another. The rest of it is small, and resident."""


@dataclass(frozen=True)
class OffloadPlan:
    """A UNet's weights in main memory, divided for a device.

    Attributes:
        resident: what is on the device while a batch is sampled.
        streamed: the other parts by name, in the order in which an evaluation calls them.
    """

    resident: tuple[PinnedBuffer, ...]
    streamed: dict[str, PinnedBuffer]

    @property
    def buffer_nbytes(self) -> int:
        """Bytes of one of the device's buffers for streamed parts."""
        return max((buffer.nbytes for buffer in self.streamed.values()), default=0)

    @property
    def host_nbytes(self) -> int:
        """Bytes of main memory."""
        return sum(buffer.nbytes for buffer in (*self.resident, *self.streamed.values()))

    @property
    def nbytes(self) -> int:
        """Bytes that the UNet's weights take on the device."""
        return sum(buffer.nbytes for buffer in self.resident) + STREAM_BUFFERS * self.buffer_nbytes


def make_plan(
    unet: UNet2DConditionModel,
    max_bytes: int | None,
    device: torch.device,
    dtype: torch.dtype | None = None,
) -> OffloadPlan:
    """Copy a UNet's weights into buffers: as many resident as fit, evenly over its parts.

    Args:
        max_bytes: bytes of its weights on the device at once; None: all. The plan takes more if
            these are too few for what is always resident and two of the largest parts.
        device: for a GPU the buffers are pinned.
        dtype: as of `PinnedBuffer`.
    """
    buffer = partial(_buffer, unet, dtype=dtype, device=device)
    if max_bytes is None:
        return OffloadPlan((buffer([name for name, _ in unet.named_modules()]),), {})
    parts = {part: _modules(unet, part) for part in parts_in_order(unet)}
    inside = {name for modules in parts.values() for name in modules}
    always = buffer([name for name, _ in unet.named_modules() if name not in inside])
    buffers = {part: buffer(modules) for part, modules in parts.items()}
    sizes = {part: buffer.nbytes for part, buffer in buffers.items()}
    resident = _spread(sizes, max_bytes - always.nbytes)
    return OffloadPlan(
        resident=(always, *(buffers[part] for part in buffers if part in resident)),
        streamed={part: buffer for part, buffer in buffers.items() if part not in resident},
    )


def parts_in_order(unet: UNet2DConditionModel) -> list[str]:
    """The names of the parts, in the order in which an evaluation calls them.

    Found by an evaluation on PyTorch's device `meta`, which computes nothing.
    """
    on_meta = clone_sharing_weights(
        unet, {name: p.to("meta") for name, p in unet.named_parameters()}
    )
    called: list[str] = []
    for name, module in on_meta.named_modules():
        if isinstance(module, PARTS):
            module.register_forward_pre_hook(lambda *_, name=name: called.append(name))
    side = 2 ** len(unet.config["block_out_channels"])
    with torch.inference_mode(), torch.device("meta"):
        x = torch.empty(1, unet.config["in_channels"], side, side)
        unet_prediction(on_meta, x, torch.empty(1), empty_conditioning(unet))
    return called


def _modules(network: nn.Module, part: str) -> list[str]:
    return [f"{part}.{name}".rstrip(".") for name, _ in network.get_submodule(part).named_modules()]


def _buffer(
    unet: nn.Module, modules: Sequence[str], *, dtype: torch.dtype | None, device: torch.device
) -> PinnedBuffer:
    if device.type == "cuda":
        try:
            with torch.cuda.device(device):
                return PinnedBuffer(unet, modules, dtype, pinned=True)
        except RuntimeError as error:
            log.warning("cannot pin memory, so copies of weights do not overlap: %s", error)
    return PinnedBuffer(unet, modules, dtype)


def _spread(sizes: Mapping[str, int], available: int) -> set[str]:
    """The parts that are resident in the bytes available, beside the buffers of the others.

    They are spread evenly, so that a streamed part is copied while resident ones compute.
    """
    total = sum(sizes.values())
    if available >= total:
        return set(sizes)
    available -= STREAM_BUFFERS * max(sizes.values())
    resident: set[str] = set()
    seen = kept = 0
    for part, size in sizes.items():
        seen += size
        if (kept + size) * total <= available * seen:
            kept += size
            resident.add(part)
    return resident
