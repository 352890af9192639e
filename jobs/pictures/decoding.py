"""How many pictures, and pixels of them, are decoded at once in this process.

A file of 73 kB can hold 4096 × 4096 pixels, which occupy up to 300 MB while they are decoded and
encoded again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, Lock

MAX_PIXELS = 4096 * 4096
"""Pixels being decoded together, unless a single picture has more."""
MAX_PICTURES = 4


class Decoding:
    """Room for the pictures that are being decoded.

    Args:
        max_pixels, max_pictures: how many may be decoded together.
    """

    def __init__(self, *, max_pixels: int, max_pictures: int) -> None:
        self._max_pixels = max_pixels
        self._max_pictures = max_pictures
        self._pixels: list[int] = []
        self._changed = Condition()
        self._next = Lock()

    @contextmanager
    def room(self, pixels: int) -> Iterator[None]:
        """Room for one picture; waits until there is."""
        # One waits at a time, so that small pictures do not keep overtaking a large one.
        with self._next, self._changed:
            self._changed.wait_for(lambda: self._has_room(pixels))
            self._pixels.append(pixels)
        try:
            yield
        finally:
            with self._changed:
                self._pixels.remove(pixels)
                self._changed.notify_all()

    def _has_room(self, pixels: int) -> bool:
        if not self._pixels:
            return True
        fits = sum(self._pixels) + pixels <= self._max_pixels
        return fits and len(self._pixels) < self._max_pictures


decoding = Decoding(max_pixels=MAX_PIXELS, max_pictures=MAX_PICTURES)
"""Of this process."""
