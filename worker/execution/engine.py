"""The engine as the worker sees it, and its construction on first use.

Importing torch and the networks takes seconds. Nothing here imports them, so that the worker can
announce itself at once; the engine is built in a background thread.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from PIL import Image

from jobs.pictures.inputs import InputRole
from stable_diffusion.stopwatch import Stopwatch
from worker.execution.prompt_jobs import PromptJob
from worker.models.model_key import ModelKey

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation, Picture
    from stable_diffusion.loader import ModelDescription
    from stable_diffusion.model import Model
    from stable_diffusion.recipe import Recipe
    from stable_diffusion.upscaling.upscale import Upscaler

log = structlog.get_logger(__name__)


class Engine(Protocol):
    """What the worker needs of an engine. Tests implement it without networks."""

    @property
    def device(self) -> str:
        """Where it computes: `cpu` or `cuda:N`."""
        ...

    def memory_bytes(self) -> int:
        """The memory of its device, for models and everything else."""
        ...

    def base_of(self, key: ModelKey) -> ModelKey | None:
        """The model that one is made of; see `ModelLoader`. Raises the engine's ModelError."""
        ...

    def estimate_bytes(self, key: ModelKey, base: "Model | None") -> int:
        """About how many bytes a model will need. Raises the engine's ModelError.

        Args:
            base: the loaded model that it is made of; None: it is read from its file.
        """
        ...

    def load(self, key: ModelKey, on_progress: Callable[[float], object]) -> "Model":
        """Load a model that is made of no other. Raises the engine's ModelError.

        Args:
            on_progress: called with the share that is loaded, 0..1.
        """
        ...

    def derive(self, base: "Model", key: ModelKey) -> "Model":
        """The model of a key that is made of `base`, which stays as it is.

        Raises the engine's ModelError, or LoraMismatch.
        """
        ...

    def prepare(self, model: "Model", prompt_job: PromptJob) -> "tuple[Model, tuple[str, ...]]":
        """The model with the prompt's embeddings and the request's `config`; and warnings.

        A warning says what could not be applied to this model. Raises UnknownEmbedding, or the
        engine's ModelError.
        """
        ...

    def offloaded(self, recipe: "Recipe") -> bool:
        """Whether the recipe needs a model whose weights stay in host memory; see `ModelKey`."""
        ...

    def describe_model(self, name: str, path: Path) -> "ModelDescription":
        """Family, kind and native size of a model file. Raises the engine's ModelError."""
        ...

    def known_hash(self, path: Path) -> str:
        """The first digits of a model's hash; empty if it would have to be computed."""
        ...

    def recipe(
        self,
        prompt_job: PromptJob,
        inputs: Mapping[InputRole, Image.Image],
        enlarge: Callable[[Image.Image], Image.Image],
    ) -> "Recipe":
        """The engine's recipe for one prompt. Raises its RecipeError, or BadInputImage.

        Args:
            enlarge: brings an image of the first pass to the size of the second, if there is one.
        """
        ...

    def generate(
        self,
        model: "Model",
        recipe: "Recipe",
        on_evaluation: "Callable[[Evaluation], None]",
        stopwatch: Stopwatch,
    ) -> "Iterator[Picture]":
        """Generate the images; an exception of `on_evaluation` ends the generation."""
        ...

    def preview(self, model: "Model", evaluation: "Evaluation") -> Image.Image:
        """A small and cheap preview of a batch's first image after an evaluation."""
        ...

    def describe(self, model: "Model", recipe: "Recipe") -> dict[str, Any]:
        """What the recipe means for the model: the parsed prompts, the steps that will run."""
        ...

    def upscaler(self) -> "Upscaler":
        """The network that doubles images, loaded. Raises the engine's ModelError."""
        ...

    def double(
        self, upscaler: "Upscaler", image: Image.Image, on_tile: Callable[[float], object]
    ) -> Image.Image:
        """The image at twice its size.

        Args:
            on_tile: called with the share that is done, 0..1; an exception of it ends the work.
        """
        ...

    def free_and_probe(self) -> None:
        """Free unused memory, then allocate and use a little. Raises if that fails."""
        ...


class EngineProvider:
    """Builds the engine on first use; other threads wait for it. Loads models for `ModelCache`.

    Args:
        build: builds the engine; may take seconds. If it raises, the next use tries again.
        models_memory: bytes for the models; 0: half of the memory of the engine's device.
        workers: processes that share the device's memory.
    """

    def __init__(
        self, build: Callable[[], Engine], models_memory: int = 0, workers: int = 1
    ) -> None:
        self._build = build
        self._workers = workers
        self._models_memory = models_memory
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def get(self) -> Engine:
        """The engine, built if necessary."""
        with self._lock:
            if self._engine is None:
                self._engine = self._build()
            return self._engine

    def get_if_built(self) -> Engine | None:
        """The engine, or None before it is built. Never blocks."""
        return self._engine

    def device(self, default: str) -> str:
        """Where the engine computes, or the default before it is built. Never blocks."""
        return self._engine.device if self._engine else default

    def budget(self) -> int:
        """How many bytes the models may take."""
        return self._models_memory or self.get().memory_bytes() // (2 * self._workers)

    def base_of(self, key: ModelKey) -> ModelKey | None:
        """The model that one is made of; None: it is read from its file."""
        return self.get().base_of(key)

    def estimate_bytes(self, key: ModelKey, base: "Model | None") -> int:
        """About how many bytes a model will need."""
        return self.get().estimate_bytes(key, base)

    def load(
        self, key: ModelKey, base: "Model | None", on_progress: Callable[[float], object]
    ) -> "Model":
        """Load a model, or make it of its base."""
        engine = self.get()
        return engine.load(key, on_progress) if base is None else engine.derive(base, key)

    def free_and_probe(self) -> bool:
        """Free unused memory. Returns whether the device can still allocate and compute."""
        try:
            if self._engine:
                self._engine.free_and_probe()
        except Exception as error:  # noqa: BLE001 - any exception means the device is unusable
            log.error("the device does not compute", reason=str(error))
            return False
        return True
