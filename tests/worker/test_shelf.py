import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.worker.small import SmallModel
from worker.catalogue import Catalogue
from worker.errors import UnknownModel
from worker.shelf import Shelf


class Loader:
    """Loads slowly, counts, and notices when a model is loaded twice at once."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.loads: list[str] = []
        self.broken: set[str] = set()
        self._seconds = seconds
        self._loading: set[str] = set()

    def __call__(self, name: str, path: Path) -> Any:
        assert name not in self._loading, "loaded twice at once"
        self._loading.add(name)
        self.loads.append(name)
        time.sleep(self._seconds)
        self._loading.remove(name)
        if name in self.broken:
            raise OSError(f"{name} is broken")
        return SmallModel(name)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.safetensors").touch()
    return Catalogue(tmp_path, "one")


def test_a_model_is_loaded_once_and_borrowed_many_times(catalogue: Catalogue) -> None:
    loader = Loader()
    shelf = Shelf(catalogue, loader, kept=2)
    with shelf.borrow("one") as first, shelf.borrow("default") as second:
        assert first is second
    with shelf.borrow("one"):
        pass
    assert loader.loads == ["one"]
    assert shelf.loaded() == ("one",)


def test_all_who_ask_at_once_wait_for_one_loading(catalogue: Catalogue) -> None:
    loader = Loader(seconds=0.1)
    shelf = Shelf(catalogue, loader, kept=2)

    def borrow(_: int) -> Any:
        with shelf.borrow("one") as model:
            return model

    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(borrow, range(8)))
    assert loader.loads == ["one"]
    assert all(model is models[0] for model in models)


def test_the_least_recently_borrowed_model_leaves_first(catalogue: Catalogue) -> None:
    shelf = Shelf(catalogue, Loader(), kept=2)
    for name in ("one", "two", "one", "three"):
        with shelf.borrow(name):
            pass
    assert shelf.loaded() == ("one", "three")


def test_a_borrowed_model_never_leaves(catalogue: Catalogue) -> None:
    shelf = Shelf(catalogue, Loader(), kept=1)
    with shelf.borrow("one") as model:
        with shelf.borrow("two"), shelf.borrow("three"):
            assert set(shelf.loaded()) == {"one", "two", "three"}
        assert "one" in shelf.loaded()
        with shelf.borrow("one") as again:
            assert again is model
    assert shelf.loaded() == ("one",)


def test_a_failed_loading_is_told_to_all_who_wait_and_leaves_no_trace(
    catalogue: Catalogue,
) -> None:
    loader = Loader(seconds=0.1)
    loader.broken.add("one")
    shelf = Shelf(catalogue, loader, kept=2)
    told: list[BaseException] = []

    def borrow() -> None:
        try:
            with shelf.borrow("one"):
                pass
        except OSError as error:
            told.append(error)

    threads = [threading.Thread(target=borrow) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 4
    assert shelf.loaded() == ()
    loader.broken.clear()
    with shelf.borrow("one") as model:
        assert model.name == "one"


def test_an_error_of_the_borrower_gives_the_model_back(catalogue: Catalogue) -> None:
    shelf = Shelf(catalogue, Loader(), kept=1)
    with pytest.raises(RuntimeError), shelf.borrow("one"):
        raise RuntimeError("the job failed")
    with shelf.borrow("two"):
        pass
    assert shelf.loaded() == ("two",)


def test_eight_threads_on_three_models_and_room_for_one(catalogue: Catalogue) -> None:
    shelf = Shelf(catalogue, Loader(seconds=0.001), kept=1)

    def hammer(seed: int) -> None:
        for step in range(60):
            name = ("one", "two", "three")[(seed + step * seed) % 3]
            with shelf.borrow(name) as model:
                assert model.name == name

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hammer, range(8)))
    assert len(shelf.loaded()) <= 1


def test_an_unknown_model_is_refused_with_those_that_are_here(catalogue: Catalogue) -> None:
    with (
        pytest.raises(UnknownModel, match=r"'sd99' here; installed: .*one"),
        Shelf(catalogue, Loader(), kept=1).borrow("sd99"),
    ):
        pass
