"""Has the weights of a packed UNet where they are needed when they are."""

from dataclasses import dataclass, field
from itertools import cycle, islice

from torch import Tensor, nn

from stable_diffusion.offload.copy_stream import CopyStream, Event
from stable_diffusion.offload.plan import PLACES, OffloadPlan
from stable_diffusion.sharing import TensorSlots, fill_slots, tensor_slots


@dataclass
class _Place:
    """Memory of the device that parts take turns in.

    Attributes:
        left: when it may be overwritten.
        name: of the part that lies there, or is on its way.
        filled: when that part is there.
        views: that memory as each part sees it.
    """

    memory: Tensor
    left: Event
    name: str = ""
    filled: Event = None
    views: dict[str, TensorSlots] = field(default_factory=dict)


class Stream:
    """The weights of one UNet for one job, in one thread and on its current stream.

    Args:
        unet: nobody else's; a clone_sharing_weights of the one that was packed.
        packed: its weights.
        transport: brings them.
    """

    def __init__(self, unet: nn.Module, packed: OffloadPlan, transport: CopyStream) -> None:
        self._unet = unet
        self._packed = packed
        self._transport = transport
        self._home = tensor_slots(unet)
        names = list(packed.comes)
        self._after = dict(zip(names, islice(cycle(names), 1, None), strict=False))
        for name in names:
            part = unet.get_submodule(name)
            part.register_forward_pre_hook(lambda *_, name=name: self._needed(name))
            part.register_forward_hook(lambda *_: self._computed(), always_call=True)
        self._places: list[_Place] = []  # that of the part in use, then that of the next

    def come(self) -> None:
        """Bring what stays, and the first of the others. Does nothing the second time."""
        if self._places:
            return
        transport = self._transport
        for parcel in self._packed.stays:
            memory = transport.memory(parcel.nbytes)
            transport.wait(transport.bring(parcel.home, memory, transport.now()))
            fill_slots(parcel.unpacked(self._unet, memory))
        size = self._packed.place_nbytes
        self._places = [_Place(transport.memory(size), transport.now()) for _ in range(PLACES)]
        for name in islice(self._after, 1):
            self._send(name)

    def go(self) -> None:
        """Leave the device: what computes there next may use the memory."""
        for place in self._places:
            if place.name:
                self._transport.wait(place.filled)
        self._places = []
        fill_slots(self._home)

    def _needed(self, name: str) -> None:
        """A part is about to compute: have it here, and send for the one after it."""
        if self._places[-1].name != name:  # the evaluation before this one ended early
            self._send(name)
        place = self._places[-1]
        self._transport.wait(place.filled)
        if name not in place.views:
            place.views[name] = self._packed.comes[name].unpacked(self._unet, place.memory)
        fill_slots(place.views[name])
        self._send(self._after[name])

    def _computed(self) -> None:
        self._places[0].left = self._transport.now()

    def _send(self, name: str) -> None:
        """Bring a part to the place that was filled first, once that is free."""
        place = self._places.pop(0)
        home = self._packed.comes[name].home
        place.filled = self._transport.bring(home, place.memory, place.left)
        place.name = name
        self._places.append(place)
