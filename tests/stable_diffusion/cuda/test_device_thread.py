"""All evaluations of a device run in one thread, and callers notice nothing of it."""

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
import torch

from stable_diffusion.cuda.device_thread import DeviceThread, tf32, thread_of, with_index
from stable_diffusion.generate import generate
from stable_diffusion.model import Model
from stable_diffusion.networks import Networks
from stable_diffusion.recipe import Recipe
from stable_diffusion.shared_weights import clone_sharing_weights
from stable_diffusion.step_batching import StepBatcher

CPU = torch.device("cpu")
RECIPE = Recipe(prompt="a red circle", width=64, height=64, steps=2, seed=9)
NAME = ContextVar("NAME", default="none")


@pytest.fixture
def thread() -> Iterator[DeviceThread]:
    # a GPU's thread settles how exact it is for the whole process
    cudnn: Any = torch.backends.cudnn
    settings: list[Any] = [torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn]
    before = [one.fp32_precision for one in settings]
    older = torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32
    made = DeviceThread(CPU)
    yield made
    made._executor.shutdown()
    torch.backends.cuda.matmul.allow_tf32, cudnn.allow_tf32 = older
    for one, precision in zip(settings, before, strict=True):
        one.fp32_precision = precision


def evaluating_threads(networks: Networks) -> set[int]:
    """The threads that call any of the networks from now on."""
    seen: set[int] = set()
    for module in (*networks.parts.values(), *networks.vae.children()):
        module.register_forward_pre_hook(lambda *_: seen.add(threading.get_ident()))
    return seen


@pytest.mark.parametrize("shared", [False, True])
def test_jobs_compute_in_one_thread_whichever_leads(
    tiny: Model, thread: DeviceThread, shared: bool
) -> None:
    networks = tiny.networks.map(clone_sharing_weights)
    seen = evaluating_threads(networks)
    model = replace(
        tiny,
        networks=networks,
        device_thread=thread,
        step_batcher=StepBatcher() if shared else None,
    )
    recipes = [replace(RECIPE, seed=seed, prompt=f"a {seed}") for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda one: next(generate(model, one)).image, recipes))
    assert seen == {thread._ident}
    if not shared:
        alone = [next(generate(tiny, one)).image for one in recipes]
        assert [one.tobytes() for one in made] == [one.tobytes() for one in alone]


def test_an_exception_reaches_its_caller_and_frees_its_memory(thread: DeviceThread) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def broken() -> None:
        activations = torch.ones(4)
        held.append(weakref.ref(activations))
        raise MemoryError("too much")

    gc.disable()
    try:
        with pytest.raises(MemoryError, match="too much") as raised:
            thread.run(broken)
        del raised
        assert held[0]() is None
    finally:
        gc.enable()
    assert thread.run(lambda: 1) == 1


def test_a_function_may_run_another(thread: DeviceThread) -> None:
    assert thread.run(lambda: thread.run(threading.get_ident)) == thread._ident


def test_an_interrupted_caller_waits_for_what_it_began(
    thread: DeviceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by Ctrl-C: the caller goes on to free the weights that the function still uses."""
    began, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def function() -> None:
        began.set()
        assert may_end.wait(60)
        ended.set()

    class Interrupted:
        def __init__(self, future: object) -> None:
            self.future = future

        def result(self) -> None:
            assert began.wait(60)
            threading.Timer(0.05, may_end.set).start()
            raise KeyboardInterrupt

        def __getattr__(self, name: str) -> object:
            return getattr(self.future, name)

    submit = thread._executor.submit
    monkeypatch.setattr(thread._executor, "submit", lambda *args: Interrupted(submit(*args)))
    with pytest.raises(KeyboardInterrupt):
        thread.run(function)
    assert ended.is_set()


def test_log_lines_keep_the_job_of_their_caller(thread: DeviceThread) -> None:
    NAME.set("job 7")
    assert thread.run(NAME.get) == "job 7"


def test_full_precision_never_computes_in_tf32(tiny: Model, thread: DeviceThread) -> None:
    networks = tiny.networks.map(clone_sharing_weights)
    seen: dict[str, str] = {}
    for name, module in {"unet": networks.unet, "decoder": networks.vae.decoder}.items():
        module.register_forward_pre_hook(
            lambda *_, name=name: seen.update(
                {name: torch.backends.cudnn.conv.fp32_precision}  # type: ignore[attr-defined]
            )
        )
    model = replace(tiny, networks=networks, device_thread=thread)
    for allowed, expected in ((True, "tf32"), (False, "ieee")):
        next(generate(replace(model, tf32=allowed), RECIPE))
        assert seen == {"unet": "ieee", "decoder": expected}


@pytest.mark.parametrize("allowed", [False, True])
def test_what_pytorch_reads_of_tf32_by_older_names_agrees(
    thread: DeviceThread, allowed: bool
) -> None:
    """It raises an error where they differ."""

    def read() -> list[object]:
        with tf32(allowed):
            older = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
            return [*older, torch.get_float32_matmul_precision()]

    for _ in range(2):
        assert thread.run(read) == [allowed, allowed, "high" if allowed else "highest"]


def test_a_gpu_has_one_thread_and_a_cpu_none() -> None:
    assert thread_of(CPU) is None
    one = thread_of(with_index("cuda:1"))
    assert one is thread_of(torch.device("cuda:1")) is not thread_of(torch.device("cuda:2"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU may have another number")
def test_a_device_without_a_number_is_the_first() -> None:
    assert with_index("cuda") == torch.device("cuda:0")
    assert with_index("cpu") == CPU
