"""Concurrent jobs share the network's evaluations, and each gets its own picture."""

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

from stable_diffusion.conditioning import Conditioning
from stable_diffusion.generate import generate
from stable_diffusion.model import Model
from stable_diffusion.prompt.grammar import read_prompt
from stable_diffusion.recipe import Recipe
from stable_diffusion.step_batching import StepBatcher

MANY = 4
SMALL = Recipe(prompt="a red circle", width=64, height=64, steps=4, seed=9)
MIXED = (
    SMALL,
    replace(SMALL, prompt="a blue star", sampler="k_euler_a", steps=7, guidance_scale=3.0),
    replace(SMALL, prompt="a (green:1.3) duck", sampler="k_heun", batch_size=2),
    replace(SMALL, sampler="plms", seed=3, guidance_scale=1.0),
    replace(SMALL, sampler="k_dpmpp_2m", inputs={"init": Image.new("RGB", (64, 64), "red")}),
    replace(SMALL, width=96, prompt="a house"),
    replace(SMALL, prompt="a tree " * 90),
    replace(SMALL, prompt=read_prompt("a [red|blue] circle AND a cat :0.5", "a1111")),
)


class Network:
    """Returns a function of its inputs; records its batches, and waits while `gate` is clear."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.began = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.most = 100
        self.broken: set[float] = set()

    def __call__(self, x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        self.batches.append(len(x))
        self.began.set()
        assert self.gate.wait(240)
        if len(x) > self.most:
            raise MemoryError("too much at once")
        if self.broken & set(timesteps.tolist()):
            raise ArithmeticError("broken")
        return x + timesteps[:, None, None, None] + conditioning.context.mean()


def arguments(number: int, rows: int = 2) -> tuple[Tensor, Tensor, Conditioning]:
    text = Conditioning(torch.zeros(rows, 1, 1))
    return torch.zeros(rows, 4, 2, 2), torch.full((rows,), float(number)), text


def concurrently(step_batcher: StepBatcher, network: Network, count: int) -> list[Any]:
    """Results of calls of which the first occupies the network until the others wait."""
    network.gate.clear()

    def one(number: int) -> Any:
        with step_batcher.batched(network, "key") as shared:
            try:
                return float(shared(*arguments(number)).mean())
            except Exception as error:
                return type(error)

    with ThreadPoolExecutor(count) as pool:
        first = pool.submit(one, 0)
        assert network.began.wait(240)
        rest = [pool.submit(one, number) for number in range(1, count)]
        until(lambda: len(step_batcher._pending) == count - 1)
        network.gate.set()
        return [future.result(30) for future in (first, *rest)]


def until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("not true within 30 s")


def pictures(model: Model, recipe: Recipe) -> list[Any]:
    return [numpy.asarray(picture.image).astype(int) for picture in generate(model, recipe)]


def test_calls_made_during_an_evaluation_are_evaluated_together() -> None:
    step_batcher, network = StepBatcher(), Network()
    assert concurrently(step_batcher, network, MANY) == [0.0, 1.0, 2.0, 3.0]
    assert network.batches == [2, 2 * (MANY - 1)]


def test_a_batch_has_at_most_max_rows() -> None:
    step_batcher, network = StepBatcher(max_rows=4), Network()
    assert concurrently(step_batcher, network, 6) == [float(number) for number in range(6)]
    assert max(network.batches) == 4
    assert sum(network.batches) == 12


def test_a_single_call_may_exceed_max_rows() -> None:
    network = Network()
    with StepBatcher(max_rows=2).batched(network, "key") as shared:
        assert len(shared(*arguments(1, rows=5))) == 5
    assert network.batches == [5]


def test_a_batch_that_runs_out_of_memory_is_evaluated_call_by_call() -> None:
    step_batcher, network = StepBatcher(), Network()
    network.most = 2
    assert concurrently(step_batcher, network, MANY) == [0.0, 1.0, 2.0, 3.0]


def test_the_memory_of_a_failed_batch_is_free_before_the_calls_are_evaluated() -> None:
    class Greedy(Network):
        """Runs out of memory on a batch of several calls, while it holds activations."""

        held: weakref.ref[Tensor] | None = None

        def __call__(self, x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
            if self.held:
                assert self.held() is None
            activations = x + 1
            if len(x) > 2:
                self.held = weakref.ref(activations)
                raise MemoryError
            return super().__call__(x, timesteps, conditioning)

    step_batcher, network = StepBatcher(), Greedy()
    assert concurrently(step_batcher, network, MANY) == [0.0, 1.0, 2.0, 3.0]
    assert network.held


def test_a_failing_call_fails_no_other() -> None:
    step_batcher, network = StepBatcher(), Network()
    network.broken = {2.0}
    assert concurrently(step_batcher, network, MANY) == [0.0, 1.0, ArithmeticError, 3.0]


def test_a_failing_leader_fails_no_other() -> None:
    step_batcher, network = StepBatcher(), Network()
    network.broken = {0.0}
    assert concurrently(step_batcher, network, MANY) == [ArithmeticError, 1.0, 2.0, 3.0]


def test_jobs_of_different_keys_are_not_batched() -> None:
    step_batcher, network = StepBatcher(max_concurrent=1), Network()
    network.gate.clear()

    def one(number: int) -> float:
        with step_batcher.batched(network, number % 2) as shared:
            return float(shared(*arguments(number)).mean())

    with ThreadPoolExecutor(MANY) as pool:
        futures = [pool.submit(one, number) for number in range(MANY)]
        until(lambda: len(step_batcher._pending) == MANY - 1)
        network.gate.set()
        assert [future.result(30) for future in futures] == [0.0, 1.0, 2.0, 3.0]
    assert max(network.batches) <= 4


@pytest.mark.parametrize("max_concurrent", [1, 2])
def test_mixed_jobs_give_the_same_pictures_batched(tiny: Model, max_concurrent: int) -> None:
    """Different samplers, steps, prompts, scales and sizes; text and image to image."""
    alone = [pictures(tiny, recipe) for recipe in MIXED]
    step_batcher = StepBatcher(max_concurrent)
    shared = replace(tiny, step_batcher=step_batcher)
    with ThreadPoolExecutor(len(MIXED)) as pool:
        together = list(pool.map(lambda recipe: pictures(shared, recipe), MIXED))
    for unbatched, batched in zip(alone, together, strict=True):
        for one, other in zip(unbatched, batched, strict=True):
            assert one.shape == other.shape
            # low-order bits depend on the batch, which is up to some grey levels
            assert abs(one - other).max() <= 3
    assert not step_batcher._jobs
    assert not step_batcher._pending


def test_a_deterministic_job_runs_unbatched_and_is_the_same_to_the_bit(tiny: Model) -> None:
    step_batcher = StepBatcher()
    shared = replace(tiny, step_batcher=step_batcher)
    strict = replace(SMALL, deterministic=True)
    (expected,) = pictures(tiny, SMALL)
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda recipe: pictures(shared, recipe)[0], [strict, *MIXED[:2]]))
    assert (made[0] == expected).all()
    before = step_batcher.evaluations
    pictures(shared, strict)
    assert step_batcher.evaluations == before


def test_a_cancelled_job_leaves_the_others_running(tiny: Model) -> None:
    shared = replace(tiny, step_batcher=StepBatcher())

    def stop(_: object) -> None:
        raise InterruptedError

    def stopped() -> None:
        with pytest.raises(InterruptedError):
            list(generate(shared, SMALL, stop))

    with ThreadPoolExecutor(3) as pool:
        others = [pool.submit(pictures, shared, SMALL) for _ in range(2)]
        pool.submit(stopped).result(60)
        assert all(other.result(60) for other in others)
    assert shared.step_batcher
    assert not shared.step_batcher._jobs


def test_every_tensor_of_a_conditioning_is_batched() -> None:
    def network(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        assert gate.wait(240)
        sums = [tensor.flatten(1).sum(1) for tensor in conditioning.tensors]
        return x + torch.stack(sums).sum(0)[:, None, None, None]

    def one(number: int) -> float:
        value = torch.full((2, 3), float(number))
        text = Conditioning(value[:, None], value, 10 * value, (100 * value,))
        with step_batcher.batched(network, text.batch_key) as shared:
            return float(shared(*arguments(0)[:2], text).mean())

    step_batcher, gate = StepBatcher(), threading.Event()
    with ThreadPoolExecutor(MANY) as pool:
        futures = [pool.submit(one, number) for number in range(MANY)]
        until(lambda: len(step_batcher._pending) == MANY - 1)
        gate.set()
        assert [future.result(30) for future in futures] == [0.0, 336.0, 672.0, 1008.0]
