"""Jobs that draw at once share the network's evaluations, and each gets its own picture."""

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy
import pytest
import torch
from PIL import Image
from torch import Tensor

from stable_diffusion.batching import Company
from stable_diffusion.generate import generate
from stable_diffusion.model import Model
from stable_diffusion.recipe import Recipe

MANY = 4
SMALL = Recipe(prompt="a red circle", width=64, height=64, steps=4, seed=9)
MIXED = (
    SMALL,
    replace(SMALL, prompt="a blue star", sampler="k_euler_a", steps=7, guidance_scale=3.0),
    replace(SMALL, prompt="a (green:1.3) duck", sampler="k_heun", batch_size=2),
    replace(SMALL, sampler="plms", seed=3, guidance_scale=1.0),
    replace(SMALL, sampler="k_dpmpp_2m", init_image=Image.new("RGB", (64, 64), "red")),
    replace(SMALL, width=96, prompt="a house"),
    replace(SMALL, prompt="a tree " * 90),
)


class Network:
    """Answers with what it was asked; counts, and waits where it is told to."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.began = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.most = 100
        self.broken: set[float] = set()

    def __call__(self, x: Tensor, timesteps: Tensor, conditioning: Tensor) -> Tensor:
        self.batches.append(len(x))
        self.began.set()
        assert self.gate.wait(240)
        if len(x) > self.most:
            raise MemoryError("too much at once")
        if self.broken & set(timesteps.tolist()):
            raise ArithmeticError("broken")
        return x + timesteps[:, None, None, None] + conditioning.mean()


def asked(number: int, rows: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros(rows, 4, 2, 2), torch.full((rows,), float(number)), torch.zeros(rows, 1, 1)


def all_at_once(company: Company, network: Network, count: int) -> list[Any]:
    """The first holds the network while the others come; then all are answered."""
    network.gate.clear()

    def one(number: int) -> Any:
        with company.joined(network, "kind") as shared:
            try:
                return float(shared(*asked(number)).mean())
            except Exception as error:
                return type(error)

    with ThreadPoolExecutor(count) as pool:
        first = pool.submit(one, 0)
        assert network.began.wait(240)
        rest = [pool.submit(one, number) for number in range(1, count)]
        until(lambda: len(company._waiting) == count - 1)
        network.gate.set()
        return [future.result(30) for future in (first, *rest)]


def until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came true")


def pictures(model: Model, recipe: Recipe) -> list[Any]:
    return [numpy.asarray(picture.image).astype(int) for picture in generate(model, recipe)]


def test_who_comes_while_the_network_is_busy_is_evaluated_together() -> None:
    company, network = Company(), Network()
    assert all_at_once(company, network, MANY) == [0.0, 1.0, 2.0, 3.0]
    assert network.batches == [2, 2 * (MANY - 1)]


def test_no_more_go_together_than_there_is_room_for() -> None:
    company, network = Company(most_rows=4), Network()
    assert all_at_once(company, network, 6) == [float(number) for number in range(6)]
    assert max(network.batches) == 4
    assert sum(network.batches) == 12


def test_one_call_of_more_than_there_is_room_for_goes_as_it_is() -> None:
    network = Network()
    with Company(most_rows=2).joined(network, "kind") as shared:
        assert len(shared(*asked(1, rows=5))) == 5
    assert network.batches == [5]


def test_what_is_too_much_together_is_done_one_by_one() -> None:
    company, network = Company(), Network()
    network.most = 2
    assert all_at_once(company, network, MANY) == [0.0, 1.0, 2.0, 3.0]


def test_what_took_the_memory_is_gone_before_they_are_done_one_by_one() -> None:
    class Greedy(Network):
        """Runs out of memory when several come, with much of it in hand."""

        in_hand: weakref.ref[Tensor] | None = None

        def __call__(self, x: Tensor, timesteps: Tensor, conditioning: Tensor) -> Tensor:
            if self.in_hand:
                assert self.in_hand() is None
            activations = x + 1
            if len(x) > 2:
                self.in_hand = weakref.ref(activations)
                raise MemoryError
            return super().__call__(x, timesteps, conditioning)

    company, network = Company(), Greedy()
    assert all_at_once(company, network, MANY) == [0.0, 1.0, 2.0, 3.0]
    assert network.in_hand


def test_nobody_fails_for_anothers_sake() -> None:
    company, network = Company(), Network()
    network.broken = {2.0}
    assert all_at_once(company, network, MANY) == [0.0, 1.0, ArithmeticError, 3.0]


def test_the_first_to_fail_lets_the_others_go_on() -> None:
    company, network = Company(), Network()
    network.broken = {0.0}
    assert all_at_once(company, network, MANY) == [ArithmeticError, 1.0, 2.0, 3.0]


def test_jobs_of_different_sizes_do_not_meet() -> None:
    company, network = Company(lanes=1), Network()
    network.gate.clear()

    def one(number: int) -> float:
        with company.joined(network, number % 2) as shared:
            return float(shared(*asked(number)).mean())

    with ThreadPoolExecutor(MANY) as pool:
        futures = [pool.submit(one, number) for number in range(MANY)]
        until(lambda: len(company._waiting) == MANY - 1)
        network.gate.set()
        assert [future.result(30) for future in futures] == [0.0, 1.0, 2.0, 3.0]
    assert max(network.batches) <= 4


@pytest.mark.parametrize("lanes", [1, 2])
def test_mixed_jobs_together_draw_what_each_draws_alone(tiny: Model, lanes: int) -> None:
    """Different samplers, steps, prompts, scales, sizes and kinds."""
    alone = [pictures(tiny, recipe) for recipe in MIXED]
    company = Company(lanes)
    shared = replace(tiny, company=company)
    with ThreadPoolExecutor(len(MIXED)) as pool:
        together = list(pool.map(lambda recipe: pictures(shared, recipe), MIXED))
    for by_itself, in_company in zip(alone, together, strict=True):
        for one, other in zip(by_itself, in_company, strict=True):
            assert one.shape == other.shape
            # the last bits of a sum depend on the company; a grey level is what is left of that
            assert abs(one - other).max() <= 3
    assert not company._members
    assert not company._waiting


def test_a_deterministic_job_stays_alone_and_is_the_same_to_the_bit(tiny: Model) -> None:
    company = Company()
    shared = replace(tiny, company=company)
    strict = replace(SMALL, deterministic=True)
    (expected,) = pictures(tiny, SMALL)
    with ThreadPoolExecutor(3) as pool:
        drawn = list(pool.map(lambda recipe: pictures(shared, recipe)[0], [strict, *MIXED[:2]]))
    assert (drawn[0] == expected).all()
    before = company.evaluations
    pictures(shared, strict)
    assert company.evaluations == before


def test_a_job_that_is_stopped_leaves_the_others_drawing(tiny: Model) -> None:
    shared = replace(tiny, company=Company())

    def stop(_: object) -> None:
        raise InterruptedError

    def stopped() -> None:
        with pytest.raises(InterruptedError):
            list(generate(shared, SMALL, stop))

    with ThreadPoolExecutor(3) as pool:
        others = [pool.submit(pictures, shared, SMALL) for _ in range(2)]
        pool.submit(stopped).result(60)
        assert all(other.result(60) for other in others)
    assert shared.company
    assert not shared.company._members
