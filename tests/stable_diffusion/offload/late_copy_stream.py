"""A device's copies without a device: as late and as early as they may be."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

GARBAGE = 0xFF
"""Four of these are no number."""


@dataclass(frozen=True)
class Event:
    """Later ones have greater numbers."""

    number: int


@dataclass
class LateCopyStream:
    """Copies as late as a device may, and spoils what is copied over as early as it may."""

    clock: int = 0
    taken: int = 0
    """Bytes of memory."""
    due: list[tuple[Event, Tensor, Tensor]] = field(default_factory=list)
    _filled: dict[Event, int] = field(default_factory=dict)
    _used: dict[int, Event] = field(default_factory=dict)
    _in_use: int = 0

    def memory(self, nbytes: int) -> Tensor:
        self.taken += nbytes
        return torch.full((nbytes,), GARBAGE, dtype=torch.uint8)

    def now(self) -> Event:
        self.clock += 1
        return Event(self.clock)

    def bring(self, home: Tensor, place: Tensor, after: Event) -> Event:
        last_used = self._used.get(place.data_ptr(), Event(0))
        assert after.number > last_used.number, "overwritten before it has computed"
        place.fill_(GARBAGE)
        there = self.now()
        self.due.append((there, home, place))
        self._filled[there] = place.data_ptr()
        return there

    def wait(self, moment: Event) -> None:
        while self.due and self.due[0][0].number <= moment.number:
            _, home, place = self.due.pop(0)
            place[: len(home)].copy_(home)
        self._in_use = self._filled[moment]

    def computed(self) -> None:
        """A part that waited for its weights has computed."""
        self._used[self._in_use] = self.now()
