"""Defers Ctrl-C while a request is being sent: the job may exist before its id is known."""

import signal
from types import FrameType
from typing import Self


class DeferredInterrupt:
    """Records a first Ctrl-C inside its `with` block; a second one raises KeyboardInterrupt.

    Use it in the main thread, and call `raise_if_pressed` after the block.
    """

    def __init__(self) -> None:
        self._pressed = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._record)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def raise_if_pressed(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed inside the block."""
        if self._pressed:
            raise KeyboardInterrupt

    def _record(self, _signal: int, _frame: FrameType | None) -> None:
        if self._pressed:
            raise KeyboardInterrupt
        self._pressed = True
