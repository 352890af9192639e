"""The model cache with a loader that counts: loans, memory, the queue, and failed loading."""

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

from stable_diffusion.prompt.grammar import read_prompt
from tests.worker.conftest import until
from tests.worker.small import SmallModel
from worker.errors import UnknownLora, UnknownModel
from worker.models.catalogue import Catalogue
from worker.models.model_cache import ModelCache
from worker.models.model_key import ModelKey

pytestmark = pytest.mark.heavy

NAMES = ("one", "two", "three", "four")


class CountingLoader:
    """Loads models of one byte each, counts, and fails if one is loaded twice at the same time."""

    def __init__(self, budget: int = 2, seconds: float = 0.0) -> None:
        self.loads: list[str] = []
        self.broken: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.living: weakref.WeakSet[Any] = weakref.WeakSet()
        self._budget = budget
        self._seconds = seconds
        self._loading: set[ModelKey] = set()

    def budget(self) -> int:
        return self._budget

    def base_of(self, key: ModelKey) -> ModelKey | None:
        return key.base

    def estimate_bytes(self, key: ModelKey, base: Any) -> int:
        return 1

    def load(self, key: ModelKey, base: Any, on_progress: Callable[[float], object]) -> Any:
        assert key not in self._loading, "loaded twice at once"
        self._loading.add(key)
        self.loads.append(key.name)
        try:
            on_progress(0.5)
            time.sleep(self._seconds)
            self.gate.wait(240)
        finally:
            self._loading.remove(key)
        if key.name in self.broken:
            raise OSError(f"{key.name} is broken")
        added = tuple((lora.name, lora.weight) for lora in key.loras)
        model = SmallModel(key.name, nbytes=1, loras=added)
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


def borrow(model_cache: ModelCache, name: str, prompt: str = "") -> Any:
    with model_cache.borrow(name, read_prompt(prompt).loras) as model:
        return model


def loras(model: Any) -> tuple[tuple[str, float], ...]:
    return model.loras


def test_a_model_is_loaded_once_and_borrowed_many_times(catalogue: Catalogue) -> None:
    loader = CountingLoader()
    model_cache = ModelCache(catalogue, loader)
    with model_cache.borrow("one") as first, model_cache.borrow("default") as second:
        assert first is second
    borrow(model_cache, "one")
    assert loader.loads == ["one"]
    assert model_cache.loaded() == ("one",)


def test_simultaneous_borrowers_wait_for_one_loading_and_see_its_progress(
    catalogue: Catalogue,
) -> None:
    loader = CountingLoader()
    loader.gate.clear()
    model_cache = ModelCache(catalogue, loader)
    shares: list[float] = []

    def borrow_one(_: int) -> Any:
        with model_cache.borrow("one", on_progress=shares.append) as model:
            return model

    with ThreadPoolExecutor(8) as pool:
        models = pool.map(borrow_one, range(8))
        # the loading thread is called once, the others repeatedly while they wait
        until(lambda: shares.count(0.5) >= 8)
        loader.gate.set()
        found = list(models)
    assert loader.loads == ["one"]
    assert all(model is found[0] for model in found)


def test_the_least_recently_borrowed_model_is_evicted_first(catalogue: Catalogue) -> None:
    model_cache = ModelCache(catalogue, CountingLoader())
    for name in ("one", "two", "one", "three"):
        borrow(model_cache, name)
    assert model_cache.loaded() == ("one", "three")
    assert model_cache.nbytes() == 2


def test_evicted_models_are_freed(catalogue: Catalogue) -> None:
    loader = CountingLoader(budget=1)
    model_cache = ModelCache(catalogue, loader)
    for name in NAMES:
        borrow(model_cache, name)
    gc.collect()
    assert [model.name for model in loader.living] == ["four"]


def test_without_free_memory_a_borrower_waits_for_a_loan_to_end(catalogue: Catalogue) -> None:
    loader = CountingLoader(budget=1)
    model_cache = ModelCache(catalogue, loader)
    waiting = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with model_cache.borrow("one") as model:

            def wait_for_two() -> Any:
                with model_cache.borrow("two", on_progress=lambda _share: waiting.set()) as other:
                    return other

            two = pool.submit(wait_for_two)
            assert waiting.wait(240)
            assert model_cache.loaded() == ("one",)
            assert model.name == "one"
        assert two.result(30).name == "two"
    assert model_cache.loaded() == ("two",)


def test_a_model_in_constant_use_cannot_starve_another(catalogue: Catalogue) -> None:
    model_cache = ModelCache(catalogue, CountingLoader(budget=1))
    finished = threading.Event()

    def keep_busy(_: int) -> None:
        while not finished.is_set():
            with model_cache.borrow("one"):
                time.sleep(0.01)

    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(keep_busy, n) for n in range(2)]
        until(lambda: model_cache.loaded() == ("one",))
        try:
            assert pool.submit(borrow, model_cache, "two").result(60).name == "two"
        finally:
            finished.set()
        for worker in busy:
            worker.result(30)


def test_a_model_larger_than_the_budget_is_lent_and_then_evicted(catalogue: Catalogue) -> None:
    model_cache = ModelCache(catalogue, CountingLoader(budget=0))
    assert borrow(model_cache, "one").name == "one"
    assert model_cache.loaded() == ()


def test_a_borrower_that_gives_up_waiting_leaves_the_memory_to_others(catalogue: Catalogue) -> None:
    model_cache = ModelCache(catalogue, CountingLoader(budget=1))

    def give_up(_share: float) -> None:
        raise TimeoutError

    with (
        model_cache.borrow("one"),
        pytest.raises(TimeoutError),
        model_cache.borrow("two", on_progress=give_up),
    ):
        pass
    assert model_cache.loaded() == ("one",)
    assert borrow(model_cache, "two").name == "two"


def test_a_job_stopped_while_loading_does_not_fail_waiting_borrowers(
    catalogue: Catalogue,
) -> None:
    loader = CountingLoader()
    loader.gate.clear()
    model_cache = ModelCache(catalogue, loader)
    waits = threading.Event()

    def stopped(share: float) -> None:
        if share == 0.5:
            assert waits.wait(240)
            raise TimeoutError

    def load_and_stop() -> Any:
        with model_cache.borrow("one", on_progress=stopped) as model:
            return model

    def borrow_it_too() -> Any:
        with model_cache.borrow("one", on_progress=lambda _share: waits.set()) as model:
            return model

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(load_and_stop)
        until(lambda: loader.loads)
        second = pool.submit(borrow_it_too)
        assert waits.wait(240)
        loader.gate.set()
        assert first.result(30) is second.result(30)
    assert loader.loads == ["one"]


class Stopped(Exception):
    """The job was cancelled, its lease was lost, or its worker shuts down."""


def stop_at(limit: float) -> Callable[[float], None]:
    def on_progress(share: float) -> None:
        if share >= limit:
            raise Stopped

    return on_progress


@pytest.mark.parametrize(
    ("share", "loaded", "loads"),
    [
        (0.0, (), []),
        (0.25, (), ["one"]),
        (0.5, ("one",), ["one"]),
        (0.75, ("one",), ["one", "two"]),
    ],
    ids=["before both", "loads the first", "before the second", "loads the second"],
)
def test_a_job_stopped_on_the_way_to_its_refiner_ends_at_once_and_lends_nothing(
    catalogue: Catalogue, share: float, loaded: tuple[str, ...], loads: list[str]
) -> None:
    loader = CountingLoader()
    model_cache = ModelCache(catalogue, loader)
    with (
        pytest.raises(Stopped),
        model_cache.borrow("one", on_progress=stop_at(share), refiner="two"),
    ):
        pass
    assert (model_cache.loaded(), loader.loads) == (loaded, loads)
    assert model_cache.nbytes() == len(loaded)
    assert_nothing_is_lent(model_cache)
    with model_cache.borrow("two", refiner="one") as model:
        assert (model.name, model.refiner and model.refiner.name) == ("two", "one")
    assert_nothing_is_lent(model_cache)


def stopped_waiting(model_cache: ModelCache) -> None:
    """Borrow `one` with the refiner `two`, and give up at the first wait."""
    with (
        pytest.raises(Stopped),
        model_cache.borrow("one", on_progress=stop_at(0.0), refiner="two"),
    ):
        pass


def test_a_job_stopped_while_another_loads_its_refiner_ends_at_once(catalogue: Catalogue) -> None:
    loader = CountingLoader()
    model_cache = ModelCache(catalogue, loader)
    borrow(model_cache, "one")
    loader.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(borrow, model_cache, "two")
        until(lambda: loader.loads == ["one", "two"])
        stopped_waiting(model_cache)
        loader.gate.set()
        assert other.result(30).name == "two"
    assert loader.loads == ["one", "two"]
    assert_nothing_is_lent(model_cache)


def test_a_job_waits_for_memory_for_both_of_its_models_and_gives_it_up(
    catalogue: Catalogue,
) -> None:
    loader = CountingLoader(budget=2)
    model_cache = ModelCache(catalogue, loader)
    with model_cache.borrow("three"):
        stopped_waiting(model_cache)
        assert (loader.loads, model_cache.nbytes()) == (["three"], 1)
    assert_nothing_is_lent(model_cache)
    with model_cache.borrow("one", refiner="two") as model:
        assert model.warnings == ()
    assert model_cache.loaded() == ("one", "two")


def test_two_models_that_memory_cannot_keep_are_lent_with_a_warning(catalogue: Catalogue) -> None:
    model_cache = ModelCache(catalogue, CountingLoader(budget=1))
    with model_cache.borrow("one", refiner="two") as model:
        (warning,) = model.warnings
        assert model_cache.loaded() == ("one", "two")
    assert warning.startswith("refiner: one and two take 0.0 GB together, and models may take")
    assert model_cache.loaded() == ("two",)


@pytest.mark.parametrize(
    ("before", "prompt", "shares"),
    [
        ((), "", [0, 0.125, 0.25, 0.625, 1]),
        (("one",), "", [0, 0.5, 1]),
        ((), "<lora:ink>", [0, 0.125, 0.25, 0.625, 1]),
    ],
    ids=["both are loaded", "the refiner is loaded", "both are loaded, with a LoRA"],
)
def test_the_loading_of_two_models_is_one_progress_that_never_falls(
    catalogue: Catalogue, tmp_path: Path, before: tuple[str, ...], prompt: str, shares: list[float]
) -> None:
    (tmp_path / "one.safetensors").write_bytes(b"1")
    (tmp_path / "two.safetensors").write_bytes(b"333")
    model_cache = ModelCache(catalogue, CountingLoader(budget=9))
    for name in before:
        borrow(model_cache, name)
    told: list[float] = []
    with model_cache.borrow("one", read_prompt(prompt).loras, told.append, refiner="two"):
        assert told == sorted(told)
        assert {*told, 1} == {*shares}


def test_failed_loading_raises_in_all_waiting_borrowers_and_leaves_no_entry(
    catalogue: Catalogue,
) -> None:
    loader = CountingLoader(seconds=0.1)
    loader.broken.add("one")
    model_cache = ModelCache(catalogue, loader)
    errors: list[BaseException] = []

    def borrow_one() -> None:
        try:
            borrow(model_cache, "one")
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=borrow_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 4
    assert (model_cache.loaded(), model_cache.nbytes()) == ((), 0)
    loader.broken.clear()
    assert borrow(model_cache, "one").name == "one"


def test_an_error_of_the_borrower_ends_its_loan(catalogue: Catalogue) -> None:
    model_cache = ModelCache(catalogue, CountingLoader(budget=1))
    with pytest.raises(RuntimeError), model_cache.borrow("one"):
        raise RuntimeError("the job failed")
    borrow(model_cache, "two")
    assert model_cache.loaded() == ("two",)


def test_a_model_is_cached_with_and_without_loras(catalogue: Catalogue) -> None:
    loader = CountingLoader(budget=4)
    model_cache = ModelCache(catalogue, loader)
    with (
        model_cache.borrow("one", read_prompt("a cat <lora:ink:0.8>").loras) as inked,
        model_cache.borrow("one", read_prompt("a cat").loras) as plain,
        model_cache.borrow("one", read_prompt("<lora:ink:0.5> <lora:ink:0.3>").loras) as same,
        model_cache.borrow("one", read_prompt("<lora:ink:-1>").loras) as other,
    ):
        assert loras(plain) == ()
        assert loras(inked) == (("ink", pytest.approx(0.8)),)
        assert loras(other) == (("ink", -1.0),)
        assert same is inked
    assert loader.loads == ["one"] * 3
    assert model_cache.loaded() == ("one",)


def test_a_base_model_is_cached_as_long_as_one_with_loras(
    catalogue: Catalogue,
) -> None:
    loader = CountingLoader(budget=2)
    model_cache = ModelCache(catalogue, loader)
    borrow(model_cache, "one", "<lora:ink>")
    borrow(model_cache, "two")
    # the one with the LoRA was evicted first, because it borrows its base
    borrow(model_cache, "one")
    assert loader.loads == ["one", "one", "two"]


def test_a_replaced_file_is_loaded_again(catalogue: Catalogue, tmp_path: Path) -> None:
    loader = CountingLoader()
    model_cache = ModelCache(catalogue, loader)
    first = borrow(model_cache, "one")
    (tmp_path / "one.safetensors").write_bytes(b"another")
    assert borrow(model_cache, "one") is not first
    assert loader.loads == ["one", "one"]
    assert model_cache.nbytes() == 1


def test_an_unknown_name_is_refused_with_a_list_of_installed_ones(catalogue: Catalogue) -> None:
    model_cache = ModelCache(catalogue, CountingLoader())
    with pytest.raises(UnknownModel, match=r"'sd99' here; installed: .*one"):
        borrow(model_cache, "sd99")
    with pytest.raises(UnknownLora, match="'oil' here; installed: ink"):
        borrow(model_cache, "one", "<lora:oil:1>")


def assert_nothing_is_lent(model_cache: ModelCache) -> None:
    assert not model_cache._queue
    assert not model_cache._queue._queue
    assert sum(entry.loans for entry in model_cache._entries) == sum(
        entry.base is not None for entry in model_cache._entries
    )


def hammered(catalogue: Catalogue, seconds: float) -> None:
    """Eight threads use four models, some with a LoRA or a second one, and memory for two."""
    loader = CountingLoader(budget=2, seconds=0.001)
    model_cache = ModelCache(catalogue, loader)
    deadline = time.monotonic() + seconds

    def hammer(seed: int) -> int:
        rng = random.Random(seed)
        rounds = 0
        while time.monotonic() < deadline:
            name, prompt = rng.choice(NAMES), rng.choice(("", "<lora:ink>"))
            other = rng.choice((None, *NAMES))
            with model_cache.borrow(name, read_prompt(prompt).loras, refiner=other) as model:
                assert (model.name, bool(loras(model))) == (name, bool(prompt))
                assert (model.refiner.name if model.refiner else None) == other
                assert not model.refiner or loras(model.refiner) == loras(model)
                time.sleep(rng.random() / 500)
            rounds += 1
        return rounds

    with ThreadPoolExecutor(8) as pool:
        rounds = list(pool.map(hammer, range(8)))
    assert min(rounds) > 0
    assert model_cache.nbytes() <= 2
    assert_nothing_is_lent(model_cache)
    gc.collect()
    assert len(loader.living) == len(model_cache._entries)


def test_eight_threads_on_four_models_with_memory_for_two(catalogue: Catalogue) -> None:
    hammered(catalogue, seconds=3)


@pytest.mark.slow
def test_eight_threads_use_four_models_for_a_minute(catalogue: Catalogue) -> None:
    hammered(catalogue, seconds=60)
