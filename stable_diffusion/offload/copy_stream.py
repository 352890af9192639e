"""Copies from main memory to a GPU that overlap with its computing."""

from typing import Any, Protocol

import torch
from torch import Tensor

Event = Any
"""A point in the device's queue of work, which it reaches later; a CUDA event."""


class CopyStream(Protocol):
    """A queue of copies to a device, executed in order while the device computes.

    The device's computing is that of the stream that is current in the calling thread.
    """

    def allocate(self, nbytes: int) -> Tensor:
        """Memory of the device, (nbytes,) uint8."""
        ...

    def record_event(self) -> Event:
        """The point after all computing that was queued so far."""
        ...

    def copy_async(self, host: Tensor, buffer: Tensor, after: Event) -> Event:
        """Queue a copy of `host` to the beginning of `buffer`, to start after an event.

        Returns:
            The point after the copy.
        """
        ...

    def wait(self, event: Event) -> None:
        """Have the device's further computing start after an event."""
        ...


class CudaCopyStream:
    """A CUDA stream. Copies overlap with computing if `host` is pinned.

    Source: PyTorch's notes on CUDA semantics, "CUDA streams".
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # PyTorch hands streams of one priority out in turns, so another priority than that of the
        # streams in `graphs` keeps copies off a stream that captures a graph
        self._copies = torch.cuda.Stream(device, priority=-1)

    def allocate(self, nbytes: int) -> Tensor:
        memory = torch.empty(nbytes, dtype=torch.uint8, device=self._device)
        # a job that stops drops its buffers while they are copied to; they are not to be reused
        # by the device's other work before that
        memory.record_stream(self._copies)
        return memory

    def record_event(self) -> Event:
        return torch.cuda.current_stream(self._device).record_event()

    def copy_async(self, host: Tensor, buffer: Tensor, after: Event) -> Event:
        with torch.cuda.stream(self._copies):
            self._copies.wait_event(after)
            buffer[: len(host)].copy_(host, non_blocking=True)
            return self._copies.record_event()

    def wait(self, event: Event) -> None:
        torch.cuda.current_stream(self._device).wait_event(event)
