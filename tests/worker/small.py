"""A small engine behind the worker's seam: plain colours instead of networks."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from jobs.request import Request
from stable_diffusion.stopwatch import Stopwatch
from worker.wanted import Wanted

KILLER = "kill the worker"
GREEDY = "more than there is room for at once"
INSATIABLE = "more than there is room for"
SLOW = "slow"
"""The name of a model that takes minutes to load."""
LEAK = "take all the memory there is, for good"


@dataclass(frozen=True, eq=False)
class SmallModel:
    name: str
    hash: str = "0123456789"
    nbytes: int = 2**30
    loras: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class SmallEvaluation:
    iteration: int
    iterations: int
    evaluation: int
    evaluations: int
    fraction: float


@dataclass(frozen=True)
class SmallPicture:
    image: Image.Image
    index: int
    seed: int


class SmallEngine:
    """Does in `seconds` an evaluation what the real one does in more.

    A gate, when given, holds every job after its first evaluation until it is opened. The prompt
    `KILLER` ends the process as the kernel does when memory runs out; `GREEDY` finds no memory
    unless it is drawn with little, `INSATIABLE` never does, and after `LEAK` nobody does; one that
    names an error raises it.
    Pictures are doubled in `tiles` tiles, with an upscaler that may be an error, too.
    """

    device = "cpu"

    def __init__(
        self,
        seconds: float = 0.0,
        gate: threading.Event | None = None,
        errors: dict[str, Exception] | None = None,
        tiles: int = 1,
        upscaler: Exception | None = None,
        broken: Exception | None = None,
    ) -> None:
        self._seconds = seconds
        self._gate = gate
        self._errors = errors or {}
        self.started = threading.Event()
        self._tiles = tiles
        self._upscaler = upscaler
        self._broken = broken
        self.upscaling = threading.Event()
        self.loads: list[str] = []
        self.exhausted = False
        self.inits: list[tuple[int, int]] = []
        self.doublings: list[tuple[int, int]] = []

    def memory(self) -> int:
        return 8 * 2**30

    def weigh(self, wanted: Wanted, base: Any) -> int:
        return SmallModel.nbytes

    def load(self, wanted: Wanted, on_progress: Callable[[float], object]) -> Any:
        self.loads.append(wanted.name)
        on_progress(0.5)
        if wanted.name == SLOW:
            time.sleep(600)
        return SmallModel(wanted.name)

    def with_loras(self, base: Any, wanted: Wanted) -> Any:
        loras = tuple((lora.name, lora.weight) for lora in wanted.loras)
        return SmallModel(base.name, loras=loras)

    def prepared(self, model: Any, request: Request) -> tuple[Any, tuple[str, ...]]:
        return model, ()

    def on_call(self, recipe: Any) -> bool:
        return False

    def kind(self, name: str, path: Path) -> str:
        return "small"

    def known_hash(self, path: Path) -> str:
        return SmallModel.hash

    def recipe(self, request: Request, init_image: Image.Image | None) -> Any:
        assert request.kind == "txt2img" or init_image
        if init_image:
            self.inits.append(init_image.size)
        return request

    def generate(
        self,
        model: Any,
        recipe: Any,
        on_evaluation: Callable[[Any], None],
        stopwatch: Stopwatch,
    ) -> Iterator[Any]:
        request: Request = recipe
        if request.prompt == KILLER:
            os.kill(os.getpid(), signal.SIGKILL)
        if request.prompt == LEAK:
            self.exhausted = True
        if request.prompt in (LEAK, INSATIABLE) or (
            request.prompt == GREEDY and request.type == "standard"
        ):
            raise MemoryError
        if request.prompt in self._errors:
            raise self._errors[request.prompt]
        steps, iterations = request.ddim_steps, request.n_iter
        for iteration in range(iterations):
            for step in range(1, steps + 1):
                with stopwatch.timing("sample"):
                    time.sleep(self._seconds)
                fraction = (iteration + step / steps) / iterations
                on_evaluation(SmallEvaluation(iteration, iterations, step, steps, fraction))
                self.started.set()
                if self._gate is not None:
                    self._gate.wait(240)
            for place in range(request.n_samples):
                index = iteration * request.n_samples + place
                seed = (request.seed or 0) + index
                colour = (seed % 256, index, 99)
                yield SmallPicture(Image.new("RGB", (request.W, request.H), colour), index, seed)

    def upscaler(self) -> Any:
        if self._upscaler:
            raise self._upscaler
        return SmallModel("nearest")

    def doubled(
        self, upscaler: Any, image: Image.Image, on_tile: Callable[[], object]
    ) -> Image.Image:
        self.doublings.append(image.size)
        for _ in range(self._tiles):
            on_tile()
            self.upscaling.set()
            time.sleep(self._seconds)
        return image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)

    def relieve(self) -> None:
        if self.exhausted:
            raise MemoryError
        if self._broken:
            raise self._broken

    def preview(self, model: Any, evaluation: Any) -> Image.Image:
        return Image.new("RGB", (8, 8), (evaluation.evaluation, 0, 0))

    def describe(self, model: Any, recipe: Any) -> dict[str, Any]:
        return {"executed_steps": recipe.ddim_steps, "prompt": {"text": recipe.prompt}}
