"""The weights of several layers in one piece of main memory, to be copied in one operation."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stable_diffusion.shared_weights import TensorSlots

_ALIGNMENT = 256
"""Bytes, as of CUDA's own allocations."""


@dataclass(frozen=True)
class _Entry:
    """Where a tensor is in the buffer, and where in the network."""

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
        """The tensor in a copy of the buffer."""
        piece = memory[self.offset : self.offset + self.nbytes].view(self.dtype)
        return piece.as_strided(self.shape, self.stride)


class PinnedBuffer:
    """Copies of parameters and buffers, each with its own strides.

    Args:
        network: the network they are copied from.
        modules: names of the modules whose own tensors are copied, without those of submodules.
        dtype: the type to convert floating point tensors to; None: their own.
        pinned: allocate page-locked memory, from which a GPU copies asynchronously.

    Attributes:
        nbytes: its size, here and on a device.
        host: the memory, (nbytes,) uint8.
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
        for module, name, tensor in _tensors(network, modules):
            entry = _entry(module, name, tensor, dtype, self.nbytes)
            self._entries.append(entry)
            tensors.append(tensor)
            self.nbytes = -(-(entry.offset + entry.nbytes) // _ALIGNMENT) * _ALIGNMENT
        self.host = torch.empty(self.nbytes, dtype=torch.uint8, pin_memory=pinned)
        for entry, tensor in zip(self._entries, tensors, strict=True):
            entry.view(self.host).copy_(tensor.detach())

    def slots(self, network: nn.Module, memory: Tensor) -> TensorSlots:
        """The tensors of a copy of this buffer, and where in a network they belong.

        Args:
            network: the one it was made from, or a `clone_sharing_weights` of it.
            memory: the copy; (`nbytes` or more,) uint8, on any device.
        """
        slots: TensorSlots = []
        for entry in self._entries:
            module = network.get_submodule(entry.module)
            tensor = entry.view(memory)
            if entry.is_parameter:
                slots.append(
                    (module._parameters, entry.name, nn.Parameter(tensor, requires_grad=False))
                )
            else:
                slots.append((module._buffers, entry.name, tensor))
        return slots


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
        # empty_like drops gaps and keeps the order of dimensions, such as "channels last"
        torch.empty_like(tensor, device="meta").stride(),
        offset,
    )
