"""How much memory the large bodies that are being received may occupy together."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from api.errors import TooManyBodies

WAIT_SECONDS = 5.0
"""How long a body waits for room before it is refused."""


class BodyMemory:
    """Memory in bytes, reserved before a body is received.

    Args:
        total: of all senders together.
        share: of one sender, so that one that sends slowly, or never, does not lock the others out.
    """

    def __init__(self, *, total: int, share: int) -> None:
        self._total = total
        self._share = share
        self._reserved: Counter[str] = Counter()
        self._changed = Condition()

    @contextmanager
    def reserved(self, size: int, sender: str, *, waits: bool = True) -> Iterator[None]:
        """Room for one body. Raises TooManyBodies after WAIT_SECONDS without room.

        Args:
            size: of the body, at most `share`.
            sender: a digest of its key, or its address.
            waits: False: raise it at once.
        """
        seconds = WAIT_SECONDS if waits else 0
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(size, sender), seconds):
                raise TooManyBodies("too many large bodies are being received: try again later")
            self._reserved[sender] += size
        try:
            yield
        finally:
            with self._changed:
                self._reserved[sender] -= size
                if not self._reserved[sender]:
                    del self._reserved[sender]
                self._changed.notify_all()

    def _has_room(self, size: int, sender: str) -> bool:
        return (
            self._reserved.total() + size <= self._total
            and self._reserved[sender] + size <= self._share
        )
