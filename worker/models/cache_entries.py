"""The entries of the model cache and their loans. `ModelCache` holds its lock for every call."""

import gc
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.models.model_key import ModelKey

if TYPE_CHECKING:
    from stable_diffusion.model import Model


@dataclass(eq=False)
class CacheEntry:
    """A model in the cache, from the start of its loading.

    Attributes:
        base: the entry of the model that this one is made of, whose weights it shares.
        error: what loading raised.
        nbytes: reserved, and once loaded taken.
        loans: of borrowers, and of entries that have this one as their base.
        share: how much is loaded, 0..1.
        abandoned: the borrower that was to load it gave up; another borrower must load it.
    """

    key: ModelKey
    base: "CacheEntry | None" = None
    model: "Model | None" = None
    error: BaseException | None = None
    nbytes: int = 0
    loans: int = 0
    share: float = 0.0
    abandoned: bool = False

    @property
    def settled(self) -> bool:
        """Whether waiting for this entry is over."""
        return self.model is not None or self.error is not None or self.abandoned


@dataclass(eq=False)
class Borrower:
    """A thread that borrows a model, or waits to.

    Attributes:
        waiting: for memory, or behind the queue.
        loading: the entries that this borrower loads, or has reserved memory to load.
        loans: the entries it borrows.
    """

    waiting: bool = False
    loading: list[CacheEntry] = field(default_factory=list)
    loans: list[CacheEntry] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """Whether it loads or uses a model, so that its loans end without any other borrower."""
        others = (entry for entry in self.loans if entry not in self.loading)
        return not self.waiting and all(entry.settled for entry in others)

    def return_loans(self) -> None:
        """End all loans."""
        for entry in self.loans:
            entry.loans -= 1
        self.loans.clear()


class CacheEntries:
    """Entries by key, the least recently borrowed first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[ModelKey, CacheEntry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[CacheEntry]:
        return iter(self._entries.values())

    @property
    def nbytes(self) -> int:
        """The bytes of all entries."""
        return sum(entry.nbytes for entry in self)

    def holds(self, key: ModelKey) -> bool:
        """Whether this model is loaded."""
        entry = self._entries.get(key)
        return entry is not None and entry.model is not None

    def lend(
        self, key: ModelKey, base: CacheEntry | None, borrower: Borrower
    ) -> tuple[CacheEntry, bool]:
        """Lend an entry. True: it is new, and the borrower must load its model."""
        entry = self._entries.get(key)
        is_new = entry is None
        if entry is None:
            self._remove_older(key)
            entry = self._entries[key] = CacheEntry(key, base)
            if base is not None:
                base.loans += 1
        self._entries.move_to_end(key)
        entry.loans += 1
        borrower.loans.append(entry)
        return entry, is_new

    def evict(self, limit: int) -> None:
        """Remove entries that are not borrowed until the others take at most `limit` bytes."""
        evicted = False
        while self.nbytes > limit:
            idle = next((entry for entry in self if not entry.loans), None)
            if idle is None:
                break
            self.remove(idle)
            evicted = True
        if evicted:
            gc.collect()  # networks contain reference cycles, which would keep their memory

    def remove(self, entry: CacheEntry) -> None:
        """Remove an entry, and end its loan of its base."""
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]
        if entry.base is not None:
            entry.base.loans -= 1
            entry.base = None
        entry.nbytes = 0

    def _remove_older(self, key: ModelKey) -> None:
        """Remove entries whose file has changed since, unless they are borrowed."""
        for entry in list(self):
            if entry.key.is_older(key) and not entry.loans:
                self.remove(entry)
