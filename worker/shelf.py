"""Models on loan: `with shelf.borrow(name) as model`.

A loan keeps a model on the shelf; only models that nobody has borrowed can leave it. Each model is
loaded once, by the first who asks; the others wait for it, and jobs with other models go on.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from worker.catalogue import Catalogue

if TYPE_CHECKING:
    from stable_diffusion.model import Model


@dataclass
class _Place:
    """A model's place on the shelf, taken when its loading begins."""

    model: "Future[Model]" = field(default_factory=Future)
    loans: int = 0


class Shelf:
    """The models of one process, the least recently borrowed first to leave.

    Args:
        catalogue: what is installed.
        load: opens a model: (name, path) -> model.
        kept: how many models may stand here while nobody uses them.
    """

    def __init__(
        self, catalogue: Catalogue, load: "Callable[[str, Path], Model]", *, kept: int
    ) -> None:
        self._catalogue = catalogue
        self._load = load
        self._kept = kept
        self._lock = threading.Lock()
        self._places: OrderedDict[str, _Place] = OrderedDict()

    @contextmanager
    def borrow(self, name: str) -> "Iterator[Model]":
        """A model for the length of a with block, loaded if need be.

        Raises:
            UnknownModel, or what loading raised; then the shelf is as it was before.
        """
        canonical, path = self._catalogue.find(name)
        place, is_mine = self._take(canonical)
        try:
            if is_mine:
                self._fill(canonical, path, place)
            yield place.model.result()
        finally:
            with self._lock:
                place.loans -= 1
                self._make_room(self._kept)

    def loaded(self) -> tuple[str, ...]:
        """The names of the models in memory."""
        with self._lock:
            return tuple(name for name, place in self._places.items() if place.model.done())

    def clear(self) -> None:
        """Let all models go that nobody has borrowed."""
        with self._lock:
            self._make_room(0)

    def resident_bytes(self) -> int:
        """The weights of all models in memory."""
        with self._lock:
            held = [place.model for place in self._places.values() if place.model.done()]
        return sum(
            getattr(model.result(), "nbytes", 0) for model in held if model.exception() is None
        )

    def _take(self, name: str) -> tuple[_Place, bool]:
        with self._lock:
            place = self._places.get(name)
            is_mine = place is None
            if place is None:
                self._make_room(self._kept - 1)
                place = self._places[name] = _Place()
            self._places.move_to_end(name)
            place.loans += 1
            return place, is_mine

    def _fill(self, name: str, path: Path, place: _Place) -> None:
        try:
            model = self._load(name, path)
        except BaseException as error:  # noqa: BLE001 - those who wait must be told too
            with self._lock:
                self._places.pop(name, None)
            place.model.set_exception(error)
            return
        place.model.set_result(model)

    def _make_room(self, kept: int) -> None:
        """Let models go that nobody has borrowed until at most `kept` are left. Needs the lock."""
        idle = [name for name, place in self._places.items() if not place.loans]
        for name in idle[: max(0, len(self._places) - kept)]:
            del self._places[name]
