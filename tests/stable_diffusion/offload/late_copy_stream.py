"""A fake copy stream that copies as late and overwrites as early as a device may."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

GARBAGE = 0xFF
"""Four of these bytes are a float32 NaN."""


@dataclass(frozen=True)
class Event:
    """A later event has a greater number."""

    number: int


@dataclass
class LateCopyStream:
    """Copies at the last moment, and fills a buffer with garbage at the first."""

    clock: int = 0
    allocated: int = 0
    """Bytes."""
    due: list[tuple[Event, Tensor, Tensor]] = field(default_factory=list)
    _filled: dict[Event, int] = field(default_factory=dict)
    _used: dict[int, Event] = field(default_factory=dict)
    _in_use: int = 0

    def allocate(self, nbytes: int) -> Tensor:
        self.allocated += nbytes
        return torch.full((nbytes,), GARBAGE, dtype=torch.uint8)

    def record_event(self) -> Event:
        self.clock += 1
        return Event(self.clock)

    def copy_async(self, host: Tensor, buffer: Tensor, after: Event) -> Event:
        last_used = self._used.get(buffer.data_ptr(), Event(0))
        assert after.number > last_used.number, "overwritten before its part has computed"
        buffer.fill_(GARBAGE)
        copied = self.record_event()
        self.due.append((copied, host, buffer))
        self._filled[copied] = buffer.data_ptr()
        return copied

    def wait(self, event: Event) -> None:
        while self.due and self.due[0][0].number <= event.number:
            _, host, buffer = self.due.pop(0)
            buffer[: len(host)].copy_(host)
        self._in_use = self._filled[event]

    def computed(self) -> None:
        """Note that the part whose weights were waited for has computed."""
        self._used[self._in_use] = self.record_event()
