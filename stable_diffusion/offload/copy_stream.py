"""The way from main memory to a GPU, beside its computing."""

from typing import Any, Protocol

import torch
from torch import Tensor

Event = Any
"""A point in the work that a device was given, which it passes later: of CUDA, an event."""


class CopyStream(Protocol):
    """Copies to a device while it computes: what is asked for here is done later, in its order.

    The device's computing is that of the stream that is current in the calling thread.
    """

    def memory(self, nbytes: int) -> Tensor:
        """Memory of the device, (nbytes,) uint8."""
        ...

    def now(self) -> Event:
        """The moment at which the device has computed what it was told to so far."""
        ...

    def bring(self, home: Tensor, place: Tensor, after: Event) -> Event:
        """Copy `home` to the beginning of `place`, not before a moment. The moment it is there."""
        ...

    def wait(self, moment: Event) -> None:
        """Have the device compute nothing more before a moment."""
        ...


class CudaCopyStream:
    """By a CUDA stream of its own. Overlaps with computing if `home` is pinned.

    Source: PyTorch's notes on CUDA semantics, "CUDA streams".
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # of the other priority than the one that may be recorded on, see `graphs`: streams of one
        # are dealt from a pool, and come round again
        self._copies = torch.cuda.Stream(device, priority=-1)

    def memory(self, nbytes: int) -> Tensor:
        return torch.empty(nbytes, dtype=torch.uint8, device=self._device)

    def now(self) -> Event:
        return torch.cuda.current_stream(self._device).record_event()

    def bring(self, home: Tensor, place: Tensor, after: Event) -> Event:
        with torch.cuda.stream(self._copies):
            self._copies.wait_event(after)
            place[: len(home)].copy_(home, non_blocking=True)
            return self._copies.record_event()

    def wait(self, moment: Event) -> None:
        torch.cuda.current_stream(self._device).wait_event(moment)
