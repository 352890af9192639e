"""How long each phase of a job took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stopwatch:
    """Adds up the seconds of each phase, over as many times as it is entered."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def timing(self, phase: str) -> Iterator[None]:
        """Add the duration of the `with` block to `phase`, also when it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.monotonic() - began
