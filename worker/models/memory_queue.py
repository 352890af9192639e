"""Who gets memory for models next: the borrowers that wait for it, in the order they came.

A borrower that finds too little memory waits until a loan ends. New borrowers wait behind the
queue, so that a model in constant use cannot keep another one out. When all borrowers that hold
loans wait themselves, the first of the queue exceeds the budget, which avoids a deadlock.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Condition

from worker.models.cache_entries import Borrower, CacheEntries, CacheEntry
from worker.models.model_loader import ModelLoader, OnProgress

_POLL_SECONDS = 0.1


class MemoryQueue:
    """The borrowers of a cache.

    Args:
        changed: guards the entries and the borrowers; notified after each change that a waiting
            thread may need.
        entries: of the cache.
        loader: knows the budget, and how much a model needs.
    """

    def __init__(self, changed: Condition, entries: CacheEntries, loader: ModelLoader) -> None:
        self._changed = changed
        self._entries = entries
        self._loader = loader
        self._borrowers: set[Borrower] = set()
        self._queue: deque[Borrower] = deque()

    def __len__(self) -> int:
        """How many borrowers there are."""
        return len(self._borrowers)

    def enter(self, borrower: Borrower, on_progress: OnProgress) -> None:
        """Let the borrowers that already wait for memory go first."""
        with self._changed:
            self._borrowers.add(borrower)
            if not self._queue:
                return
            borrower.waiting = True
        self.wait(lambda: not self._queue, on_progress, lambda: 0.0)
        with self._changed:
            borrower.waiting = False

    def leave(self, borrower: Borrower) -> None:
        """Also of a borrower that gave up a wait. Needs the lock."""
        self._borrowers.discard(borrower)
        with suppress(ValueError):
            self._queue.remove(borrower)

    def reserve(
        self, borrower: Borrower, entries: Sequence[CacheEntry], on_progress: OnProgress
    ) -> None:
        """Evict unborrowed models until all of these fit, and reserve their memory.

        Raises what `on_progress` does, or what loading one of them would.
        """
        sizes: dict[CacheEntry, int] = {}
        for entry in entries:
            try:
                base = entry.base.model if entry.base else None
                sizes[entry] = self._loader.estimate_bytes(entry.key, base)
            except BaseException as error:
                entry.error = error
                raise
        budget, size = self._loader.budget(), sum(sizes.values())

        def reserved() -> bool:
            self._entries.evict(budget - size)
            others = (other for other in self._borrowers if other is not borrower)
            if self._entries.nbytes + size > budget and any(other.active for other in others):
                return False
            for entry, nbytes in sizes.items():
                entry.nbytes = nbytes
            return True

        with self._changed:
            if not sizes or (not self._queue and reserved()):
                return
            borrower.waiting = True
            self._queue.append(borrower)
            self._changed.notify_all()
        self.wait(lambda: self._queue[0] is borrower and reserved(), on_progress, lambda: 0.0)
        with self._changed:
            borrower.waiting = False
            self._queue.remove(borrower)
            self._changed.notify_all()

    def wait(
        self, ready: Callable[[], bool], on_progress: OnProgress, share: Callable[[], float]
    ) -> None:
        """Wait until it is ready; `on_progress` is called with the share several times a second."""
        while True:
            with self._changed:
                if self._changed.wait_for(ready, _POLL_SECONDS):
                    return
            on_progress(share())
