"""Puts a checkpoint's tensors into empty networks, one after the other, in their final form.

Each tensor is copied at most once, from the mapped file straight to its device, type and memory
layout; the pages it was read from are given back at once. So loading never holds the weights twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from stable_diffusion.cpu.layers import use_quick_layers
from stable_diffusion.errors import UnreadableModel
from stable_diffusion.networks import Networks, build_networks, parts_of
from stable_diffusion.variants import Variant
from stable_diffusion.weights.checkpoint import Checkpoint
from stable_diffusion.weights.layout import Layout, Source, spellings
from stable_diffusion.weights.mapped import MappedFiles

_MOST_TOLD = 4


def load_networks(
    checkpoint: Checkpoint,
    variant: Variant,
    device: torch.device,
    dtype: torch.dtype,
    on_progress: Callable[[float], object] = lambda _share: None,
    *,
    unet: torch.dtype | None = None,
) -> Networks:
    """The checkpoint's networks, in evaluation mode, on `device` in `dtype`.

    The convolutions of UNet and autoencoder come in the layout "channels last".

    Args:
        on_progress: is told the share that is loaded, 0..1, after every tensor.
        unet: the type of the UNet; None: as the others.

    Raises:
        UnreadableModel: tensors are missing or have another shape; the message names them.
    """
    networks = empty_networks(variant)
    layout = Layout(variant, checkpoint.style)
    places = {"text": layout.text, "unet": layout.unet, "vae": layout.vae}
    total = sum(p.numel() for _, module in parts_of(networks) for p in module.parameters())
    filling = _Filling(checkpoint, device, total, on_progress)
    for part, module in parts_of(networks):
        own = unet if unet and part == "unet" else dtype
        filling.fill(module, places[part], own, channels_last=part != "text")
    faults = filling.faults
    if faults:
        more = f" and {len(faults) - _MOST_TOLD} more" if len(faults) > _MOST_TOLD else ""
        raise UnreadableModel(
            f"model {checkpoint.path.name!r} is incomplete: {'; '.join(faults[:_MOST_TOLD])}{more}"
        )
    return networks


def empty_networks(variant: Variant) -> Networks:
    """Networks in evaluation mode that hold no weights at all."""
    with torch.device("meta"):
        networks = build_networks(variant)
        for _, module in parts_of(networks):
            use_quick_layers(module)
            module.eval().requires_grad_(False)
    return networks


def assign(module: nn.Module, state: dict[str, Tensor], device: torch.device) -> None:
    """Make the tensors themselves the parameters of an empty module, and its buffers real."""
    module.load_state_dict(state, strict=False, assign=True)
    module.requires_grad_(False)
    for name, buffer in module.named_buffers():
        # positions 0, 1, 2 …: the one buffer these networks have, and no checkpoint needs it
        if name.endswith("position_ids"):
            positions = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
            module.get_submodule(name.rpartition(".")[0]).register_buffer(
                "position_ids", positions, persistent=False
            )


@dataclass
class _Filling:
    """One loading: what is wrong so far, and how much is done."""

    checkpoint: Checkpoint
    device: torch.device
    total: int
    on_progress: Callable[[float], object]
    done: int = 0
    faults: list[str] = field(default_factory=list)
    mapped: MappedFiles = field(default_factory=MappedFiles)

    def fill(
        self,
        module: nn.Module,
        place: Callable[[str], Source],
        dtype: torch.dtype,
        *,
        channels_last: bool,
    ) -> None:
        """Fill a module; after a fault go on only to find the others."""
        state: dict[str, Tensor] = {}
        for name, parameter in module.named_parameters():
            source = place(name)
            found = self._read(source)
            if found is None:
                self.faults.append(f"{source.name} is missing")
            # the original has 1x1 convolutions where ours has linear layers; the numbers are the
            # same
            elif found.numel() != parameter.numel() or found.shape[:1] != parameter.shape[:1]:
                self.faults.append(
                    f"{source.name} has shape {tuple(found.shape)}, not {tuple(parameter.shape)}"
                )
            elif not self.faults:
                state[name] = self._placed(found, parameter.shape, dtype, last=channels_last)
                self.done += parameter.numel()
                self.on_progress(self.done / self.total)
        if not self.faults:
            assign(module, state, self.device)

    def _read(self, source: Source) -> Tensor | None:
        names = self.checkpoint.names
        name = next((name for name in spellings(source.name) if name in names), None)
        if name is None:
            return None
        tensor = self.checkpoint.read(name)
        if source.third is None:
            return tensor
        return tensor.chunk(3)[source.third] if tensor.dim() else tensor

    def _placed(
        self, found: Tensor, shape: torch.Size, dtype: torch.dtype, *, last: bool
    ) -> Tensor:
        shaped = found.reshape(shape)
        placed = shaped.to(
            self.device,
            dtype,
            memory_format=torch.channels_last
            if last and len(shape) == 4
            else torch.preserve_format,
        )
        if placed.data_ptr() == found.data_ptr():
            # never keep what the owner of the file may change or truncate under us
            placed = placed.clone(memory_format=torch.preserve_format)
        self.mapped.give_back(found)
        return placed
