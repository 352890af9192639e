"""The engine as the worker sees it, and the one place that waits for it.

Importing torch and the networks takes seconds. So nothing here imports them: the engine is made
when it is first needed, in the background; the worker announces itself at once.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from PIL import Image

from jobs.request import Request
from stable_diffusion.stopwatch import Stopwatch
from worker.models.model_key import ModelKey

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation, Picture
    from stable_diffusion.model import Model
    from stable_diffusion.recipe import Recipe
    from stable_diffusion.upscale import Upscaler

log = structlog.get_logger(__name__)


class Engine(Protocol):
    """What the worker needs of an engine. Tests hand in a small one."""

    @property
    def device(self) -> str:
        """Where it computes: `cpu` or `cuda:N`."""
        ...

    def memory(self) -> int:
        """The bytes that its device has, for models and for everything else."""
        ...

    def estimate_bytes(self, wanted: ModelKey, base: "Model | None") -> int:
        """About how many bytes a model will take. Raises the engine's ModelError."""
        ...

    def load(self, wanted: ModelKey, on_progress: Callable[[float], object]) -> "Model":
        """Open a model, less its LoRAs. Raises the engine's ModelError."""
        ...

    def with_loras(self, base: "Model", wanted: ModelKey) -> "Model":
        """A model with its LoRAs, beside the one without, which stays as it is.

        Raises the engine's ModelError, or LoraMismatch.
        """
        ...

    def prepared(self, model: "Model", request: Request) -> "tuple[Model, tuple[str, ...]]":
        """The model as this request wants it, and what cannot be honoured to the letter.

        It knows the embeddings of the prompts, and predicts what the request's `config` says.
        Raises UnknownEmbedding, or the engine's ModelError.
        """
        ...

    def offloaded(self, recipe: "Recipe") -> bool:
        """Whether the recipe wants a model that rests in main memory; see `ModelKey`."""
        ...

    def kind(self, name: str, path: Path) -> str:
        """What a model is, such as `sd1` or `sd2-v`. Raises the engine's ModelError."""
        ...

    def known_hash(self, path: Path) -> str:
        """The hash of a model, if it need not be computed; else nothing."""
        ...

    def recipe(self, request: Request, init_image: Image.Image | None) -> "Recipe":
        """Put a request in the engine's words. Raises its RecipeError, or BadInitImage."""
        ...

    def generate(
        self,
        model: "Model",
        recipe: "Recipe",
        on_evaluation: "Callable[[Evaluation], None]",
        stopwatch: Stopwatch,
    ) -> "Iterator[Picture]":
        """Draw; `on_evaluation` is called at every network evaluation, and stops it by raising."""
        ...

    def preview(self, model: "Model", evaluation: "Evaluation") -> Image.Image:
        """What the first picture of a batch looks like after an evaluation, small and cheap."""
        ...

    def describe(self, model: "Model", recipe: "Recipe") -> dict[str, Any]:
        """What the recipe means for the model: the parsed prompt, the steps that will run."""
        ...

    def upscaler(self) -> "Upscaler":
        """What doubles pictures here. Raises the engine's ModelError."""
        ...

    def doubled(
        self, upscaler: "Upscaler", image: Image.Image, on_tile: Callable[[], object]
    ) -> Image.Image:
        """The picture twice as large; `on_tile` is called at every tile, and ends it by raising."""
        ...

    def relieve(self) -> None:
        """Give memory back to the machine, then get and use a little: raises if none is left."""
        ...


class EngineRoom:
    """Makes the engine once, for whoever asks first; the others wait for it.

    It is the maker of a model_cache's models, too.

    Args:
        make: makes it; may take seconds, may raise (then the next who asks tries again).
        models_memory: bytes for the models; 0: half of what the engine's device has.
    """

    def __init__(self, make: Callable[[], Engine], models_memory: int = 0) -> None:
        self._make = make
        self._models_memory = models_memory
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def get(self) -> Engine:
        """The engine, made if need be."""
        with self._lock:
            if self._engine is None:
                self._engine = self._make()
            return self._engine

    def budget(self) -> int:
        """How many bytes the models may take."""
        return self._models_memory or self.get().memory() // 2

    def estimate_bytes(self, wanted: ModelKey, base: "Model | None") -> int:
        """About how many bytes a model will take."""
        return self.get().estimate_bytes(wanted, base)

    def make(
        self, wanted: ModelKey, base: "Model | None", watch: Callable[[float], object]
    ) -> "Model":
        """Open a model with the engine, or add LoRAs to its base."""
        engine = self.get()
        return engine.load(wanted, watch) if base is None else engine.with_loras(base, wanted)

    def made(self) -> Engine | None:
        """The engine, if it was made. Never waits."""
        return self._engine

    def relieve(self) -> bool:
        """Give back the memory that can be. Whether a little can be had and used afterwards."""
        try:
            if self._engine:
                self._engine.relieve()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing computes here any more
            log.error("the device does not compute", reason=str(error))
            return False
        return True

    def device(self, unmade: str) -> str:
        """Where the engine computes; `unmade` before it was made. Never waits."""
        return self._engine.device if self._engine else unmade
