"""The weights of some layers side by side in one piece of main memory, to be copied in one go."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stable_diffusion.sharing import TensorSlots

_ALIGNMENT = 256
"""Bytes: CUDA aligns its own allocations as widely."""


@dataclass(frozen=True)
class _Entry:
    """One tensor's place in a parcel."""

    module: str
    name: str
    is_parameter: bool
    dtype: torch.dtype
    shape: torch.Size
    stride: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def view(self, memory: Tensor) -> Tensor:
        piece = memory[self.offset : self.offset + self.nbytes].view(self.dtype)
        return piece.as_strided(self.shape, self.stride)


class PinnedBuffer:
    """Copies of weights and buffers, each in the layout that it had.

    Args:
        network: whose they are.
        modules: names of the modules whose own tensors they are, not those of modules inside.
        dtype: the type of their numbers here, unless they are integers; None: as they are.
        pinned: take memory that a GPU reads by itself while the processor goes on.
    """

    def __init__(
        self,
        network: nn.Module,
        modules: Sequence[str],
        dtype: torch.dtype | None = None,
        *,
        pinned: bool = False,
    ) -> None:
        self._entries: list[_Entry] = []
        tensors: list[Tensor] = []
        self.nbytes = 0
        """Bytes of memory that it takes, here and on a device."""
        for module, name, tensor in _tensors(network, modules):
            entry = _entry(module, name, tensor, dtype, self.nbytes)
            self._entries.append(entry)
            tensors.append(tensor)
            self.nbytes = -(-(entry.offset + entry.nbytes) // _ALIGNMENT) * _ALIGNMENT
        self.home = torch.empty(self.nbytes, dtype=torch.uint8, pin_memory=pinned)
        """The memory it lies in, (nbytes,) uint8."""
        for entry, tensor in zip(self._entries, tensors, strict=True):
            entry.view(self.home).copy_(tensor.detach())

    def unpacked(self, network: nn.Module, memory: Tensor) -> TensorSlots:
        """What the modules of a network shall hold when a copy of the parcel lies in `memory`.

        Args:
            network: the one that was packed, or a clone_sharing_weights of it.
            memory: uint8, at least `nbytes` of it, on any device.
        """
        unpacked: TensorSlots = []
        for entry in self._entries:
            module = network.get_submodule(entry.module)
            tensor = entry.view(memory)
            if entry.is_parameter:
                unpacked.append(
                    (module._parameters, entry.name, nn.Parameter(tensor, requires_grad=False))
                )
            else:
                unpacked.append((module._buffers, entry.name, tensor))
        return unpacked


def _tensors(network: nn.Module, modules: Sequence[str]) -> Iterator[tuple[str, str, Tensor]]:
    for path in modules:
        module = network.get_submodule(path)
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is not None:
                    yield path, name, tensor


def _entry(
    module: str, name: str, tensor: Tensor, dtype: torch.dtype | None, offset: int
) -> _Entry:
    dtype = dtype if dtype and tensor.is_floating_point() else tensor.dtype
    return _Entry(
        module,
        name,
        isinstance(tensor, nn.Parameter),
        dtype,
        tensor.shape,
        # as dense as a tensor made like it: "channels last" stays what it is
        torch.empty_like(tensor, device="meta").stride(),
        offset,
    )
