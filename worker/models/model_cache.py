"""The models in memory: `with model_cache.borrow(name) as model`.

A borrowed model stays in the cache. When a model needs memory, models that are not borrowed are
evicted, the least recently borrowed first. Each model is loaded once, by its first borrower; the
others wait for it, and jobs with other models continue. A model with LoRAs shares the weights of
its base model, and keeps the base in the cache. A borrower of two models reserves memory for both
before it loads either.

A borrower that finds too little memory waits, see `memory_queue`. One whose job is stopped gives up
at once; what it was loading is completed if others wait for it, and else dropped.
"""

import gc
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from stable_diffusion.prompt.grammar import LoraTag
from worker.models.cache_entries import Borrower, CacheEntries, CacheEntry
from worker.models.catalogue import Catalogue
from worker.models.loading_progress import LoadingProgress
from worker.models.memory_queue import MemoryQueue
from worker.models.model_key import ModelKey
from worker.models.model_loader import ModelLoader, OnProgress

if TYPE_CHECKING:
    from stable_diffusion.model import Model


class ModelCache:
    """The models of one process. Safe to share between threads.

    Args:
        catalogue: the installed models.
        loader: loads them.
    """

    def __init__(self, catalogue: Catalogue, loader: ModelLoader) -> None:
        self._catalogue = catalogue
        self._loader = loader
        # guards everything below
        self._changed = threading.Condition()
        self._entries = CacheEntries()
        self._queue = MemoryQueue(self._changed, self._entries, loader)
        # whether a loading was broken off, which may have left memory in reference cycles
        self._unfinished = False

    @contextmanager
    def borrow(
        self,
        name: str,
        loras: Sequence[LoraTag] = (),
        on_progress: OnProgress = lambda _share: None,
        *,
        offloaded: bool = False,
        full: bool = False,
        vae: str | None = None,
        refiner: str | None = None,
    ) -> "Iterator[Model]":
        """A model for the length of a with block, loaded if necessary.

        One borrower takes both models. It loads what it has begun before it waits for what another
        loads, and while it waits it does not count as one whose loans end by themselves, so no
        order of two can lock up.

        Args:
            loras: added to the model.
            on_progress: called with the share of all that is loaded, 0..1, which never falls, while
                this thread waits. An exception it raises ends the wait.
            offloaded, full: see `ModelKey`.
            vae: the name of another autoencoder; None: the one that the model has.
            refiner: the name of a second model, which becomes the first one's `refiner`, with the
                same LoRAs if it is of the same family; None: of none.

        Raises:
            UnknownModel, UnknownLora, UnknownVae, or what loading raised; the cache is unchanged.
        """
        model_key = partial(self._catalogue.model_key, offloaded=offloaded, full=full)
        key, other = model_key(name, loras, vae=vae), model_key(refiner) if refiner else None
        roots = [self._root(each) for each in (key, other) if each]
        borrower = Borrower()
        with self._changed:
            sizes = [0 if self._entries.holds(root) else root.signature[0] for root in roots]
        progress = LoadingProgress(on_progress, sizes)
        first, further = progress.of(0), progress.of(len(roots) - 1)
        try:
            self._queue.enter(borrower, first)
            if other:
                self._load_together(borrower, roots, (first, further))
            entry = self._take(borrower, key, first)
            assert entry.model is not None
            if not other:
                yield entry.model
                return
            second = self._take(borrower, other, further)
            assert second.model is not None
            if key.loras and second.model.family is entry.model.family:
                second = self._take(borrower, replace(other, loras=key.loras), further)
                assert second.model is not None
            told = (*entry.model.warnings, *self._memory_warnings(borrower, key, other))
            yield replace(entry.model, refiner=second.model, warnings=told)
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

    def _root(self, key: ModelKey) -> ModelKey:
        """The model of which one is made, directly or not, that is read from its file."""
        while made_of := self._loader.base_of(key):
            key = made_of
        return key

    def _load_together(
        self, borrower: Borrower, keys: Sequence[ModelKey], progress: Sequence[OnProgress]
    ) -> None:
        """Load those of two models that nobody loads, with memory for both from the start."""
        with self._changed:
            lent = [self._entries.lend(key, None, borrower) for key in keys]
            borrower.loading += [entry for entry, is_new in lent if is_new]
        self._queue.reserve(borrower, borrower.loading, progress[0])
        for (entry, is_new), report in zip(lent, progress, strict=True):
            if is_new:
                self._load(borrower, entry, report)

    def _take(self, borrower: Borrower, key: ModelKey, on_progress: OnProgress) -> CacheEntry:
        """A loan of an entry whose model is loaded, and of those it is made of."""
        made_of = self._loader.base_of(key)
        base = self._take(borrower, made_of, on_progress) if made_of else None
        while True:
            with self._changed:
                entry, is_new = self._entries.lend(key, base, borrower)
                if is_new:
                    borrower.loading.append(entry)
            if is_new:
                self._queue.reserve(borrower, [entry], on_progress)
                self._load(borrower, entry, on_progress)
            self._queue.wait(
                lambda entry=entry: entry.settled, on_progress, lambda entry=entry: entry.share
            )
            if not entry.abandoned:
                break
        if entry.error is not None:
            raise entry.error
        return entry

    def _load(self, borrower: Borrower, entry: CacheEntry, on_progress: OnProgress) -> None:
        """Load a model for which memory is reserved."""
        stopped = False

        def on_loading(share: float) -> None:
            nonlocal stopped
            entry.share = share
            try:
                on_progress(share)
            except Exception:
                with self._changed:
                    stopped = entry.loans == borrower.loans.count(entry)
                if stopped:
                    raise

        on_progress(0.0)  # a job that was stopped meanwhile begins no loading
        if self._unfinished:
            gc.collect()  # as in `CacheEntries.evict`
            self._unfinished = False
        try:
            model = self._loader.load(
                entry.key, entry.base.model if entry.base else None, on_loading
            )
        except BaseException as error:
            with self._changed:
                self._unfinished = True
                # that a job was stopped says nothing about the model: another may load it
                entry.error = None if stopped else error
            raise
        with self._changed:
            entry.nbytes = model.nbytes
            entry.model = model
            borrower.loading.remove(entry)
            self._changed.notify_all()

    def _memory_warnings(self, borrower: Borrower, key: ModelKey, other: ModelKey) -> Iterator[str]:
        """A sentence if a model and its refiner cannot both stay in memory."""
        with self._changed:
            needed = sum(entry.nbytes for entry in set(borrower.loans))
        budget = self._loader.budget()
        if needed > budget:
            yield (
                f"refiner: {key.name} and {other.name} take {needed / 1e9:.1f} GB together, and "
                f"models may take {budget / 1e9:.1f} GB here (MODELS_MEMORY); both are in memory "
                "while this job runs, and the next one loads again what does not fit"
            )

    def _return_loans(self, borrower: Borrower) -> None:
        with self._changed:
            self._queue.leave(borrower)
            for entry in borrower.loading:
                entry.abandoned = entry.error is None
                self._entries.remove(entry)
            borrower.loading.clear()
            borrower.return_loans()
            self._changed.notify_all()
            # models that were allowed to exceed the budget are evicted now
            if self._entries:
                self._entries.evict(self._loader.budget())
