"""An engine without networks behind the worker's `Engine` protocol: it makes plain colours."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image

from jobs.pictures.inputs import InputRole
from jobs.validation.request import Request
from stable_diffusion.stopwatch import Stopwatch
from worker.execution.prompt_jobs import PromptJob
from worker.models.model_key import ModelKey

KILLER = "kill the worker"
GREEDY = "needs more memory than there is, except in low-memory mode"
INSATIABLE = "needs more memory than there is"
SLOW = "slow"
"""The name of a model that takes minutes to load."""
LEAK = "takes all memory and never frees it"
HANGS = "an evaluation never returns"
ENDLESS = "evaluations that lead nowhere"
HURRY = "hurry"
"""The file in DATA_DIR of `Bench.hurry`."""


@dataclass(frozen=True, eq=False)
class SmallModel:
    name: str
    hash: str = "0123456789"
    nbytes: int = 2**30
    vae: str = ""
    loras: tuple[tuple[str, float], ...] = ()
    refiner: "SmallModel | None" = None
    warnings: tuple[str, ...] = ()
    family: str = "small"


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
    variation_seed: int | None = None


class SmallEngine:
    """Needs `seconds` for an evaluation, and for a tile.

    Args:
        hurries: evaluations and tiles take no time once it returns True.
        gate: holds every job after its first evaluation until it is set.
        errors: raised for the prompts that are its keys.
        tiles: in which an image is doubled.
        upscaler: raised in place of loading one.
        broken: raised by `free_and_probe`.
        freezes: the process stops itself (SIGSTOP) once the first picture of a job is staged.

    The prompt `KILLER` kills the process, as the kernel does without memory. `GREEDY` runs out of
    memory except in low-memory mode, `INSATIABLE` always, and after `LEAK` every probe fails.
    `HANGS` and `ENDLESS` never end, the latter with evaluations.
    """

    device = "cpu"

    def __init__(
        self,
        seconds: float = 0.0,
        hurries: Callable[[], bool] = lambda: False,
        gate: threading.Event | None = None,
        errors: dict[str, Exception] | None = None,
        tiles: int = 1,
        upscaler: Exception | None = None,
        broken: Exception | None = None,
        freezes: bool = False,
    ) -> None:
        self._seconds = seconds
        self._hurries = hurries
        self._gate = gate
        self._errors = errors or {}
        self.started = threading.Event()
        self._tiles = tiles
        self._upscaler = upscaler
        self._broken = broken
        self._freezes = freezes
        self.upscaling = threading.Event()
        self.loads: list[str] = []
        self.exhausted = False
        self.inits: list[tuple[int, int]] = []
        self.doublings: list[tuple[int, int]] = []

    def memory_bytes(self) -> int:
        return 8 * 2**30

    def base_of(self, key: ModelKey) -> ModelKey | None:
        return key.base

    def estimate_bytes(self, key: ModelKey, base: Any) -> int:
        return SmallModel.nbytes

    def load(self, key: ModelKey, on_progress: Callable[[float], object]) -> Any:
        self.loads.append(key.name)
        on_progress(0.5)
        if key.name == SLOW:
            time.sleep(600)
        return SmallModel(key.name, vae=key.vae.name if key.vae else "")

    def derive(self, base: Any, key: ModelKey) -> Any:
        loras = tuple((lora.name, lora.weight) for lora in key.loras)
        return SmallModel(base.name, loras=loras)

    def prepare(self, model: Any, prompt_job: PromptJob) -> tuple[Any, tuple[str, ...]]:
        return model, ()

    def offloaded(self, recipe: Any) -> bool:
        return False

    def describe_model(self, name: str, path: Path) -> Any:
        return SimpleNamespace(family="small", kind="small", native_size=64, cost=1.0, unet=None)

    def known_hash(self, path: Path) -> str:
        return SmallModel.hash

    def recipe(
        self,
        prompt_job: PromptJob,
        inputs: Mapping[InputRole, Image.Image],
        enlarge: Callable[[Image.Image], Image.Image],
    ) -> Any:
        request = prompt_job.request
        assert set(inputs) >= set(request.inputs)
        if "init" in inputs:
            self.inits.append(inputs["init"].size)
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
        while request.prompt in (HANGS, ENDLESS):
            time.sleep(600 if request.prompt == HANGS else 0.05)
            on_evaluation(SmallEvaluation(0, 1, 1, 2, 0.5))
        if request.prompt in self._errors:
            raise self._errors[request.prompt]
        steps, iterations = request.ddim_steps, request.n_iter
        for iteration in range(iterations):
            for step in range(1, steps + 1):
                with stopwatch.timing("sample"):
                    self._take_time()
                fraction = (iteration + step / steps) / iterations
                on_evaluation(SmallEvaluation(iteration, iterations, step, steps, fraction))
                self.started.set()
                if self._gate is not None:
                    self._gate.wait(240)
            for position in range(request.n_samples):
                index = iteration * request.n_samples + position
                seed = (request.seed or 0) + index
                colour = (seed % 256, index, 99)
                yield SmallPicture(Image.new("RGB", request.generated_size, colour), index, seed)
                if self._freezes:
                    os.kill(os.getpid(), signal.SIGSTOP)

    def upscaler(self) -> Any:
        if self._upscaler:
            raise self._upscaler
        return SmallModel("nearest")

    def double(
        self, upscaler: Any, image: Image.Image, on_tile: Callable[[float], object]
    ) -> Image.Image:
        self.doublings.append(image.size)
        for tile in range(self._tiles):
            on_tile(tile / self._tiles)
            self.upscaling.set()
            self._take_time()
        return image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)

    def _take_time(self) -> None:
        if not self._hurries():
            time.sleep(self._seconds)

    def free_and_probe(self) -> None:
        if self.exhausted:
            raise MemoryError
        if self._broken:
            raise self._broken

    def preview(self, model: Any, evaluation: Any) -> Image.Image:
        return Image.new("RGB", (8, 8), (evaluation.evaluation, 0, 0))

    def describe(self, model: Any, recipe: Any) -> dict[str, Any]:
        return {"executed_steps": recipe.ddim_steps, "prompt": {"text": recipe.prompt}}
