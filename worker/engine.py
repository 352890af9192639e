"""The engine as the worker sees it, and the one place that waits for it.

Importing torch and the networks takes seconds. So nothing here imports them: the engine is made
when it is first needed, in the background; the worker announces itself at once.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from jobs.request import Request
from stable_diffusion.stopwatch import Stopwatch
from worker.errors import is_out_of_memory

if TYPE_CHECKING:
    from stable_diffusion.generate import Evaluation, Picture
    from stable_diffusion.model import Model
    from stable_diffusion.recipe import Recipe
    from stable_diffusion.upscale import Upscaler


class Engine(Protocol):
    """What the worker needs of an engine. Tests hand in a small one."""

    @property
    def device(self) -> str:
        """Where it computes: `cpu` or `cuda:N`."""
        ...

    def load(self, name: str, path: Path) -> "Model":
        """Open a model. Raises the engine's ModelError."""
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

    Args:
        make: makes it; may take seconds, may raise (then the next who asks tries again).
    """

    def __init__(self, make: Callable[[], Engine]) -> None:
        self._make = make
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def get(self) -> Engine:
        """The engine, made if need be."""
        with self._lock:
            if self._engine is None:
                self._engine = self._make()
            return self._engine

    def load(self, name: str, path: Path) -> "Model":
        """Open a model with the engine."""
        return self.get().load(name, path)

    def relieve(self) -> bool:
        """Give back the memory that can be. Whether a little can be had afterwards."""
        try:
            if self._engine:
                self._engine.relieve()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    def device(self, unmade: str) -> str:
        """Where the engine computes; `unmade` before it was made. Never waits."""
        return self._engine.device if self._engine else unmade
