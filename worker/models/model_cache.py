"""The models in memory: `with model_cache.borrow(name) as model`.

A borrowed model stays in the cache. When a model needs memory, models that are not borrowed are
evicted, the least recently borrowed first. Each model is loaded once, by its first borrower; the
others wait for it, and jobs with other models continue. A model with LoRAs shares the weights of
its base model, and keeps the base in the cache.

A borrower that finds too little memory waits in a queue until a loan ends. New borrowers wait
behind the queue, so that a model in constant use cannot keep another one out. When all borrowers
that hold loans wait themselves, the first of the queue exceeds the budget, which avoids a deadlock.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from stable_diffusion.prompt.grammar import LoraTag
from worker.models.cache_entries import Borrower, CacheEntries, CacheEntry
from worker.models.catalogue import Catalogue
from worker.models.model_key import ModelKey
from worker.models.model_loader import ModelLoader, OnProgress

if TYPE_CHECKING:
    from stable_diffusion.model import Model

_POLL_SECONDS = 0.1


class ModelCache:
    """The models of one process. Safe to share between threads.

    Args:
        catalogue: the installed models.
        loader: loads them.
    """

    def __init__(self, catalogue: Catalogue, loader: ModelLoader) -> None:
        self._catalogue = catalogue
        self._loader = loader
        # guards everything below; notified after each change that a waiting thread may need
        self._changed = threading.Condition()
        self._entries = CacheEntries()
        self._borrowers: set[Borrower] = set()
        self._queue: deque[Borrower] = deque()

    @contextmanager
    def borrow(
        self,
        name: str,
        loras: Sequence[LoraTag] = (),
        on_progress: OnProgress = lambda _share: None,
        *,
        offloaded: bool = False,
        vae: str | None = None,
        refiner: str | None = None,
    ) -> "Iterator[Model]":
        """A model for the length of a with block, loaded if necessary.

        One borrower takes both models, one after the other. While it waits for the second it does
        not count as one whose loans end by themselves, so no order of two can lock up.

        Args:
            loras: added to the model.
            on_progress: called with the share that is loaded, 0..1, while this thread waits. An
                exception it raises ends a wait, but no loading: others may wait for that.
            offloaded: see `ModelKey`.
            vae: the name of another autoencoder; None: the one that the model has.
            refiner: the name of a second model, which becomes the first one's `refiner`, with the
                same LoRAs if it is of the same family; None: of none.

        Raises:
            UnknownModel, UnknownLora, UnknownVae, or what loading raised; the cache is unchanged.
        """
        key = self._catalogue.model_key(name, loras, offloaded=offloaded, vae=vae)
        other = self._catalogue.model_key(refiner, offloaded=offloaded) if refiner else None
        borrower = Borrower()
        with self._changed:
            self._borrowers.add(borrower)
        try:
            self._wait_behind_queue(borrower, on_progress)
            entry = self._take(borrower, key, on_progress)
            assert entry.model is not None
            if not other:
                yield entry.model
                return
            second = self._take(borrower, other, on_progress)
            assert second.model is not None
            if key.loras and second.model.family is entry.model.family:
                second = self._take(borrower, replace(other, loras=key.loras), on_progress)
                assert second.model is not None
            yield replace(entry.model, refiner=second.model)
        finally:
            self._return_loans(borrower)

    def loaded(self) -> tuple[str, ...]:
        """The names of the models in memory, the least recently borrowed first."""
        with self._changed:
            names = [entry.key.name for entry in self._entries if entry.model is not None]
        return tuple(dict.fromkeys(names))

    def clear(self) -> None:
        """Evict all models that are not borrowed."""
        with self._changed:
            self._entries.evict(-1)

    def nbytes(self) -> int:
        """The bytes of all models in the cache."""
        with self._changed:
            return self._entries.nbytes

    def _take(self, borrower: Borrower, key: ModelKey, on_progress: OnProgress) -> CacheEntry:
        """A loan of an entry whose model is loaded, and of those it is made of."""
        made_of = self._loader.base_of(key)
        base = self._take(borrower, made_of, on_progress) if made_of else None
        while True:
            with self._changed:
                entry, is_new = self._entries.lend(key, base, borrower)
                if is_new:
                    borrower.loading = entry
            if is_new:
                self._load(borrower, entry, on_progress)
            self._wait(
                lambda entry=entry: entry.settled, on_progress, lambda entry=entry: entry.share
            )
            if not entry.abandoned:
                break
        if entry.error is not None:
            raise entry.error
        return entry

    def _load(self, borrower: Borrower, entry: CacheEntry, on_progress: OnProgress) -> None:
        base = entry.base.model if entry.base else None

        def on_loading(share: float) -> None:
            entry.share = share
            # a stopped job completes the loading, because others may wait for the model by now
            with suppress(Exception):
                on_progress(share)

        try:
            size = self._loader.estimate_bytes(entry.key, base)
            self._reserve(borrower, entry, size, on_progress)
            model = self._loader.load(entry.key, base, on_loading)
        except BaseException as error:
            with self._changed:
                # giving up the wait for memory says nothing about the model: another may load it
                entry.abandoned = borrower.waiting
                entry.error = None if borrower.waiting else error
                self._entries.remove(entry)
                self._end_loading(borrower)
            raise
        with self._changed:
            entry.nbytes = model.nbytes
            entry.model = model
            self._end_loading(borrower)

    def _reserve(
        self, borrower: Borrower, entry: CacheEntry, size: int, on_progress: OnProgress
    ) -> None:
        """Evict unborrowed models until `size` bytes are free, and reserve them for the entry."""
        budget = self._loader.budget()

        def reserved() -> bool:
            self._entries.evict(budget - size)
            others = (other for other in self._borrowers if other is not borrower)
            if self._entries.nbytes + size > budget and any(other.active for other in others):
                return False
            entry.nbytes = size
            return True

        with self._changed:
            if not self._queue and reserved():
                return
            borrower.waiting = True
            self._queue.append(borrower)
            self._changed.notify_all()
        self._wait(lambda: self._queue[0] is borrower and reserved(), on_progress, lambda: 0.0)
        with self._changed:
            borrower.waiting = False
            self._queue.remove(borrower)
            self._changed.notify_all()

    def _end_loading(self, borrower: Borrower) -> None:
        """Needs the lock."""
        borrower.loading, borrower.waiting = None, False
        with suppress(ValueError):
            self._queue.remove(borrower)
        self._changed.notify_all()

    def _wait_behind_queue(self, borrower: Borrower, on_progress: OnProgress) -> None:
        """Let the borrowers that already wait for memory go first."""
        with self._changed:
            if not self._queue:
                return
            borrower.waiting = True
        self._wait(lambda: not self._queue, on_progress, lambda: 0.0)
        with self._changed:
            borrower.waiting = False

    def _wait(
        self, ready: Callable[[], bool], on_progress: OnProgress, share: Callable[[], float]
    ) -> None:
        while True:
            with self._changed:
                if self._changed.wait_for(ready, _POLL_SECONDS):
                    return
            on_progress(share())

    def _return_loans(self, borrower: Borrower) -> None:
        with self._changed:
            self._borrowers.discard(borrower)
            borrower.return_loans()
            self._changed.notify_all()
            # models that were allowed to exceed the budget are evicted now
            if self._entries:
                self._entries.evict(self._loader.budget())
