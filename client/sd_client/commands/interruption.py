"""Ctrl-C while a request is on its way: the job may be there already, and nobody knows its id."""

import signal
from types import FrameType
from typing import Self


class Held:
    """Holds a first Ctrl-C back until the block is left; a second one goes through.

    Used in a `with` block, in the main thread. `release` then says what was held back.
    """

    def __init__(self) -> None:
        self._pressed = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def release(self) -> None:
        """Raises KeyboardInterrupt if it was pressed meanwhile."""
        if self._pressed:
            raise KeyboardInterrupt

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True
