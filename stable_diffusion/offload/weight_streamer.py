"""Copies the weights of an offloaded UNet to the device, each part before it computes."""

from dataclasses import dataclass, field
from itertools import cycle, islice

from torch import Tensor, nn

from stable_diffusion.offload.copy_stream import CopyStream, Event
from stable_diffusion.offload.plan import STREAM_BUFFERS, OffloadPlan
from stable_diffusion.shared_weights import TensorSlots, fill_slots, tensor_slots


@dataclass
class _DeviceBuffer:
    """Memory of the device that streamed parts use in turn.

    Attributes:
        released: the event after which it may be overwritten.
        part: the name of the part in it, perhaps still being copied.
        copied: the event after which that part is complete.
        views: its memory as the tensors of each part.
    """

    memory: Tensor
    released: Event
    part: str = ""
    copied: Event = None
    views: dict[str, TensorSlots] = field(default_factory=dict)


class WeightStreamer:
    """Loads the weights of one UNet for one job, on the device's default stream.

    Args:
        unet: used by nothing else; a `clone_sharing_weights` of the plan's.
        plan: its weights.
        copies: copies them to the device.
    """

    def __init__(self, unet: nn.Module, plan: OffloadPlan, copies: CopyStream) -> None:
        self._unet = unet
        self._plan = plan
        self._copies = copies
        self._own = tensor_slots(unet)
        names = list(plan.streamed)
        self._next = dict(zip(names, islice(cycle(names), 1, None), strict=False))
        for name in names:
            part = unet.get_submodule(name)
            part.register_forward_pre_hook(lambda *_, name=name: self._before(name))
            part.register_forward_hook(lambda *_: self._after(), always_call=True)
        self._buffers: list[_DeviceBuffer] = []  # of the part in use, then of the next part

    def load(self) -> None:
        """Copy the resident weights and the first streamed part. No effect if they are loaded."""
        if self._buffers:
            return
        copies = self._copies
        for resident in self._plan.resident:
            memory = copies.allocate(resident.nbytes)
            copies.wait(copies.copy_async(resident.host, memory, copies.record_event()))
            fill_slots(resident.slots(self._unet, memory))
        size = self._plan.buffer_nbytes
        self._buffers = [
            _DeviceBuffer(copies.allocate(size), copies.record_event())
            for _ in range(STREAM_BUFFERS)
        ]
        for name in islice(self._next, 1):
            self._copy(name)

    def unload(self) -> None:
        """Free the device's memory, once the copies in progress are done."""
        self.settle()
        self._buffers = []
        fill_slots(self._own)

    def settle(self) -> None:
        """Have the device's further work start after the copies in progress."""
        for buffer in self._buffers:
            if buffer.part:
                self._copies.wait(buffer.copied)

    def _before(self, name: str) -> None:
        """Before a part computes: wait for its weights, and start to copy those of the next."""
        if self._buffers[-1].part != name:  # the previous evaluation was interrupted
            self._copy(name)
        buffer = self._buffers[-1]
        self._copies.wait(buffer.copied)
        if name not in buffer.views:
            streamed = self._plan.streamed[name]
            buffer.views[name] = streamed.slots(self._unet, buffer.memory)
        fill_slots(buffer.views[name])
        self._copy(self._next[name])

    def _after(self) -> None:
        self._buffers[0].released = self._copies.record_event()

    def _copy(self, name: str) -> None:
        """Copy a part to the buffer that was filled first, once that is released."""
        buffer = self._buffers.pop(0)
        host = self._plan.streamed[name].host
        buffer.copied = self._copies.copy_async(host, buffer.memory, buffer.released)
        buffer.part = name
        self._buffers.append(buffer)
