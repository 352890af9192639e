"""The shelf, with a maker that counts: loans, room, turns, and what failure leaves behind."""

import gc
import random
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.worker.conftest import until
from tests.worker.small import SmallModel
from worker.catalogue import Catalogue
from worker.errors import UnknownLora, UnknownModel
from worker.shelf import Shelf
from worker.wanted import Wanted

pytestmark = pytest.mark.heavy

NAMES = ("one", "two", "three", "four")


class Maker:
    """Models of one byte each. Loads slowly, counts, and notices what is loaded twice at once."""

    def __init__(self, budget: int = 2, seconds: float = 0.0) -> None:
        self.loads: list[str] = []
        self.broken: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.living: weakref.WeakSet[Any] = weakref.WeakSet()
        self._budget = budget
        self._seconds = seconds
        self._loading: set[Wanted] = set()

    def budget(self) -> int:
        return self._budget

    def weigh(self, wanted: Wanted, base: Any) -> int:
        return 1

    def make(self, wanted: Wanted, base: Any, watch: Callable[[float], object]) -> Any:
        assert wanted not in self._loading, "loaded twice at once"
        self._loading.add(wanted)
        self.loads.append(wanted.name)
        watch(0.5)
        time.sleep(self._seconds)
        self.gate.wait(240)
        self._loading.remove(wanted)
        if wanted.name in self.broken:
            raise OSError(f"{wanted.name} is broken")
        added = tuple((lora.name, lora.weight) for lora in wanted.loras)
        model = SmallModel(wanted.name, nbytes=1, loras=added)
        self.living.add(model)
        return model


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    loras = tmp_path / "loras"
    loras.mkdir()
    (loras / "ink.safetensors").touch()
    for name in NAMES:
        (tmp_path / f"{name}.safetensors").touch()
    return Catalogue(tmp_path, "one", loras_dir=loras)


def borrow(shelf: Shelf, name: str, prompt: str = "") -> Any:
    with shelf.borrow(name, prompt) as model:
        return model


def loras(model: Any) -> tuple[tuple[str, float], ...]:
    return model.loras


def test_a_model_is_loaded_once_and_borrowed_many_times(catalogue: Catalogue) -> None:
    maker = Maker()
    shelf = Shelf(catalogue, maker)
    with shelf.borrow("one") as first, shelf.borrow("default") as second:
        assert first is second
    borrow(shelf, "one")
    assert maker.loads == ["one"]
    assert shelf.loaded() == ("one",)


def test_all_who_ask_at_once_wait_for_one_loading_and_see_how_far_it_is(
    catalogue: Catalogue,
) -> None:
    maker = Maker()
    maker.gate.clear()
    shelf = Shelf(catalogue, maker)
    told: list[float] = []

    def ask(_: int) -> Any:
        with shelf.borrow("one", watch=told.append) as model:
            return model

    with ThreadPoolExecutor(8) as pool:
        models = pool.map(ask, range(8))
        # the one who loads is told once, the others while they wait
        until(lambda: told.count(0.5) >= 8)
        maker.gate.set()
        found = list(models)
    assert maker.loads == ["one"]
    assert all(model is found[0] for model in found)


def test_the_least_recently_borrowed_model_leaves_first(catalogue: Catalogue) -> None:
    shelf = Shelf(catalogue, Maker())
    for name in ("one", "two", "one", "three"):
        borrow(shelf, name)
    assert shelf.loaded() == ("one", "three")
    assert shelf.nbytes() == 2


def test_what_left_the_shelf_leaves_the_memory(catalogue: Catalogue) -> None:
    maker = Maker(budget=1)
    shelf = Shelf(catalogue, maker)
    for name in NAMES:
        borrow(shelf, name)
    gc.collect()
    assert [model.name for model in maker.living] == ["four"]


def test_who_finds_no_room_waits_for_a_loan_to_end(catalogue: Catalogue) -> None:
    maker = Maker(budget=1)
    shelf = Shelf(catalogue, maker)
    waiting = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with shelf.borrow("one") as model:

            def wait_for_two() -> Any:
                with shelf.borrow("two", watch=lambda _share: waiting.set()) as other:
                    return other

            two = pool.submit(wait_for_two)
            assert waiting.wait(240)
            assert shelf.loaded() == ("one",)
            assert model.name == "one"
        assert two.result(30).name == "two"
    assert shelf.loaded() == ("two",)


def test_a_model_in_constant_use_does_not_keep_another_out_for_ever(catalogue: Catalogue) -> None:
    shelf = Shelf(catalogue, Maker(budget=1))
    over = threading.Event()

    def keep_busy(_: int) -> None:
        while not over.is_set():
            with shelf.borrow("one"):
                time.sleep(0.01)

    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(keep_busy, n) for n in range(2)]
        until(lambda: shelf.loaded() == ("one",))
        try:
            assert pool.submit(borrow, shelf, "two").result(60).name == "two"
        finally:
            over.set()
        for worker in busy:
            worker.result(30)


def test_a_model_larger_than_the_budget_is_lent_alone(catalogue: Catalogue) -> None:
    shelf = Shelf(catalogue, Maker(budget=0))
    assert borrow(shelf, "one").name == "one"
    assert shelf.loaded() == ()


def test_who_stops_waiting_for_room_leaves_it_to_others(catalogue: Catalogue) -> None:
    shelf = Shelf(catalogue, Maker(budget=1))

    def give_up(_share: float) -> None:
        raise TimeoutError

    with (
        shelf.borrow("one"),
        pytest.raises(TimeoutError),
        shelf.borrow("two", watch=give_up),
    ):
        pass
    assert shelf.loaded() == ("one",)
    assert borrow(shelf, "two").name == "two"


def test_a_job_that_is_stopped_while_it_loads_does_not_fail_those_who_wait(
    catalogue: Catalogue,
) -> None:
    maker = Maker()
    maker.gate.clear()
    shelf = Shelf(catalogue, maker)

    def stopped(_share: float) -> None:
        raise TimeoutError

    def load_for_all() -> Any:
        with shelf.borrow("one", watch=stopped) as model:
            return model

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(load_for_all)
        until(lambda: maker.loads)
        second = pool.submit(borrow, shelf, "one")
        maker.gate.set()
        assert first.result(30) is second.result(30)
    assert maker.loads == ["one"]


def test_a_failed_loading_is_told_to_all_who_wait_and_leaves_no_trace(
    catalogue: Catalogue,
) -> None:
    maker = Maker(seconds=0.1)
    maker.broken.add("one")
    shelf = Shelf(catalogue, maker)
    told: list[BaseException] = []

    def ask() -> None:
        try:
            borrow(shelf, "one")
        except OSError as error:
            told.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 4
    assert (shelf.loaded(), shelf.nbytes()) == ((), 0)
    maker.broken.clear()
    assert borrow(shelf, "one").name == "one"


def test_an_error_of_the_borrower_gives_the_model_back(catalogue: Catalogue) -> None:
    shelf = Shelf(catalogue, Maker(budget=1))
    with pytest.raises(RuntimeError), shelf.borrow("one"):
        raise RuntimeError("the job failed")
    borrow(shelf, "two")
    assert shelf.loaded() == ("two",)


def test_a_model_with_loras_stands_beside_the_one_without(catalogue: Catalogue) -> None:
    maker = Maker(budget=4)
    shelf = Shelf(catalogue, maker)
    with (
        shelf.borrow("one", "a cat <lora:ink:0.8>") as inked,
        shelf.borrow("one", "a cat") as plain,
        shelf.borrow("one", "a dog <lora:ink:0.5> <lora:ink:0.3>") as same,
        shelf.borrow("one", "<lora:ink:-1>") as other,
    ):
        assert loras(plain) == ()
        assert loras(inked) == (("ink", pytest.approx(0.8)),)
        assert loras(other) == (("ink", -1.0),)
        assert same is inked
    assert maker.loads == ["one"] * 3
    assert shelf.loaded() == ("one",)


def test_a_model_stays_as_long_as_one_with_its_weights(catalogue: Catalogue) -> None:
    maker = Maker(budget=2)
    shelf = Shelf(catalogue, maker)
    borrow(shelf, "one", "<lora:ink>")
    borrow(shelf, "two")
    # the one with the LoRA went first, else nothing could have
    borrow(shelf, "one")
    assert maker.loads == ["one", "one", "two"]


def test_a_file_that_was_replaced_is_loaded_anew(catalogue: Catalogue, tmp_path: Path) -> None:
    maker = Maker()
    shelf = Shelf(catalogue, maker)
    first = borrow(shelf, "one")
    (tmp_path / "one.safetensors").write_bytes(b"another")
    assert borrow(shelf, "one") is not first
    assert maker.loads == ["one", "one"]
    assert shelf.nbytes() == 1


def test_an_unknown_name_is_refused_with_those_that_are_here(catalogue: Catalogue) -> None:
    shelf = Shelf(catalogue, Maker())
    with pytest.raises(UnknownModel, match=r"'sd99' here; installed: .*one"):
        borrow(shelf, "sd99")
    with pytest.raises(UnknownLora, match="'oil' here; installed: ink"):
        borrow(shelf, "one", "<lora:oil:1>")


def hammered(catalogue: Catalogue, seconds: float) -> None:
    """Eight threads on four models, with and without a LoRA, and room for two."""
    maker = Maker(budget=2, seconds=0.001)
    shelf = Shelf(catalogue, maker)
    until_then = time.monotonic() + seconds

    def hammer(seed: int) -> int:
        rng = random.Random(seed)
        turns = 0
        while time.monotonic() < until_then:
            name, prompt = rng.choice(NAMES), rng.choice(("", "<lora:ink>"))
            with shelf.borrow(name, prompt) as model:
                assert (model.name, bool(loras(model))) == (name, bool(prompt))
                time.sleep(rng.random() / 500)
            turns += 1
        return turns

    with ThreadPoolExecutor(8) as pool:
        turns = list(pool.map(hammer, range(8)))
    assert min(turns) > 0
    assert shelf.nbytes() <= 2
    assert not shelf._queue
    assert not shelf._borrowers
    assert sum(place.loans for place in shelf._places.values()) == sum(
        place.base is not None for place in shelf._places.values()
    )
    gc.collect()
    assert len(maker.living) == len(shelf._places)


def test_eight_threads_on_four_models_with_room_for_two(catalogue: Catalogue) -> None:
    hammered(catalogue, seconds=3)


@pytest.mark.slow
def test_eight_threads_hammer_four_models_for_a_minute(catalogue: Catalogue) -> None:
    hammered(catalogue, seconds=60)
