"""Models on loan: `with model_cache.borrow(name) as model`.

A loan keeps a model in the cache; only models that nobody has borrowed can leave it, the least
recently borrowed first, and they do when another needs their room. Each model is loaded once, by
the first who asks; the others wait for it, and jobs with other models go on. A model with LoRAs
stands beside the one it was made of, whose weights it shares and which it keeps there.

Who finds no room waits until some loan has ended. Nobody who comes later goes before, so that a
model which is always in use cannot keep another one out for ever; and when all who have loans wait
themselves, the first of them goes over the budget rather than wait for itself.
"""

import gc
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from worker.models.catalogue import Catalogue
from worker.models.model_key import ModelKey

if TYPE_CHECKING:
    from stable_diffusion.model import Model

_LOOK_SECONDS = 0.1
Watch = Callable[[float], object]


class Maker(Protocol):
    """Makes the models that stand on a model_cache."""

    def budget(self) -> int:
        """How many bytes the models of one model_cache may take."""
        ...

    def estimate_bytes(self, wanted: ModelKey, base: "Model | None") -> int:
        """About how many bytes a model will take; may raise what making it would."""
        ...

    def make(self, wanted: ModelKey, base: "Model | None", watch: Watch) -> "Model":
        """Load a model, or add LoRAs to the `base` they belong to."""
        ...


@dataclass(eq=False)
class _Place:
    """A model's place on the model_cache, taken when its loading begins."""

    wanted: ModelKey
    base: "_Place | None" = None
    model: "Model | None" = None
    error: BaseException | None = None
    nbytes: int = 0
    loans: int = 0
    share: float = 0.0
    abandoned: bool = False

    @property
    def settled(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self.model is not None or self.error is not None or self.abandoned


@dataclass(eq=False)
class _Borrower:
    """Someone who has a model or is on the way to one.

    Attributes:
        waits: for room or for its turn.
        places: those it has a loan of.
    """

    waits: bool = False
    loads: _Place | None = None
    places: list[_Place] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """Whether it loads or draws, so that its loans will end without anybody else's help."""
        others = (place for place in self.places if place is not self.loads)
        return not self.waits and all(place.settled for place in others)


class ModelCache:
    """The models of one process. Safe to share between threads.

    Args:
        catalogue: what is installed.
        maker: loads it.
    """

    def __init__(self, catalogue: Catalogue, maker: Maker) -> None:
        self._catalogue = catalogue
        self._maker = maker
        self._changed = threading.Condition()
        self._places: OrderedDict[ModelKey, _Place] = OrderedDict()
        self._borrowers: set[_Borrower] = set()
        self._queue: deque[_Borrower] = deque()

    @contextmanager
    def borrow(
        self,
        name: str,
        prompt: str = "",
        watch: Watch = lambda _share: None,
        *,
        offloaded: bool = False,
    ) -> "Iterator[Model]":
        """A model for the length of a with block, loaded if need be.

        Args:
            prompt: whose LoRAs the model shall have.
            offloaded: see `ModelKey`.
            watch: is told the share that is loaded while there is a wait; ends a wait by raising,
                but not the loading of what others may wait for.

        Raises:
            UnknownModel, UnknownLora, or what loading raised; then the cache is as it was before.
        """
        wanted = self._catalogue.model_key(name, prompt, offloaded=offloaded)
        me = _Borrower()
        with self._changed:
            self._borrowers.add(me)
        try:
            self._wait_my_turn(me, watch)
            base = self._take(me, wanted.base, None, watch) if wanted.loras else None
            place = self._take(me, wanted, base, watch)
            assert place.model is not None
            yield place.model
        finally:
            self._give_back(me)

    def loaded(self) -> tuple[str, ...]:
        """The names of the models in memory, the least recently borrowed first."""
        with self._changed:
            names = [p.wanted.name for p in self._places.values() if p.model is not None]
        return tuple(dict.fromkeys(names))

    def clear(self) -> None:
        """Let all models go that nobody has borrowed."""
        with self._changed:
            self._evict(-1)

    def nbytes(self) -> int:
        """The bytes of all models here."""
        with self._changed:
            return sum(place.nbytes for place in self._places.values())

    def _take(self, me: _Borrower, wanted: ModelKey, base: _Place | None, watch: Watch) -> _Place:
        """Take a loan of a place, and see to it that a model stands there."""
        while True:
            place = self._place(me, wanted, base)
            if me.loads is place:
                self._fill(me, place, watch)
            self._wait(lambda place=place: place.settled, watch, lambda place=place: place.share)
            if not place.abandoned:
                break
        if place.error is not None:
            raise place.error
        return place

    def _place(self, me: _Borrower, wanted: ModelKey, base: _Place | None) -> _Place:
        """A loan of the place of a model; who finds none makes one, and is to fill it."""
        with self._changed:
            place = self._places.get(wanted)
            if place is None:
                self._forget_older(wanted)
                place = me.loads = self._places[wanted] = _Place(wanted, base)
                if base is not None:
                    base.loans += 1
            self._places.move_to_end(wanted)
            place.loans += 1
            me.places.append(place)
            return place

    def _fill(self, me: _Borrower, place: _Place, watch: Watch) -> None:
        base = place.base.model if place.base else None

        def note(share: float) -> None:
            place.share = share
            # a job that is stopped still loads what others may be waiting for by now
            with suppress(Exception):
                watch(share)

        try:
            size = self._maker.estimate_bytes(place.wanted, base)
            self._find_room(me, place, size, watch)
            model = self._maker.make(place.wanted, base, note)
        except BaseException as error:
            with self._changed:
                # who gave up waiting for room says nothing of the model: another shall try
                place.abandoned = me.waits
                place.error = None if me.waits else error
                self._drop(place)
                self._leave(me)
            raise
        with self._changed:
            place.nbytes = model.nbytes
            place.model = model
            self._leave(me)

    def _find_room(self, me: _Borrower, place: _Place, size: int, watch: Watch) -> None:
        """Let idle models go until `size` bytes are free, and take them."""
        budget = self._maker.budget()

        def found() -> bool:
            self._evict(budget - size)
            taken = sum(other.nbytes for other in self._places.values())
            if taken + size > budget and any(b.active for b in self._borrowers if b is not me):
                return False
            place.nbytes = size
            return True

        with self._changed:
            if not self._queue and found():
                return
            me.waits = True
            self._queue.append(me)
            self._changed.notify_all()
        self._wait(lambda: self._queue[0] is me and found(), watch, lambda: 0.0)
        with self._changed:
            me.waits = False
            self._queue.remove(me)
            self._changed.notify_all()

    def _leave(self, me: _Borrower) -> None:
        """End a loading, well or not. Needs the lock."""
        me.loads, me.waits = None, False
        with suppress(ValueError):
            self._queue.remove(me)
        self._changed.notify_all()

    def _wait_my_turn(self, me: _Borrower, watch: Watch) -> None:
        """Let those go first who wait for room already."""
        with self._changed:
            if not self._queue:
                return
            me.waits = True
        self._wait(lambda: not self._queue, watch, lambda: 0.0)
        with self._changed:
            me.waits = False

    def _wait(self, ready: Callable[[], bool], watch: Watch, share: Callable[[], float]) -> None:
        while True:
            with self._changed:
                if self._changed.wait_for(ready, _LOOK_SECONDS):
                    return
            watch(share())

    def _give_back(self, me: _Borrower) -> None:
        with self._changed:
            self._borrowers.discard(me)
            for place in me.places:
                place.loans -= 1
            me.places.clear()
            self._changed.notify_all()
            # what was allowed to go over the budget while all were in use leaves again
            if self._places:
                self._evict(self._maker.budget())

    def _evict(self, room: int) -> None:
        """Let models go that nobody has borrowed until `room` bytes hold the rest."""
        gone = False
        while sum(place.nbytes for place in self._places.values()) > room:
            idle = next((p for p in self._places.values() if not p.loans), None)
            if idle is None:
                break
            self._drop(idle)
            gone = True
        if gone:
            gc.collect()  # networks refer to themselves: else they would stay for a while

    def _forget_older(self, wanted: ModelKey) -> None:
        """Let go what was loaded of a file that has changed since, if nobody uses it."""
        for place in list(self._places.values()):
            if place.wanted.is_older(wanted) and not place.loans:
                self._drop(place)

    def _drop(self, place: _Place) -> None:
        if self._places.get(place.wanted) is place:
            del self._places[place.wanted]
        if place.base is not None:
            place.base.loans -= 1
            place.base = None
        place.nbytes = 0
