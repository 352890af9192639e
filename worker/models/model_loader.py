"""What the model cache needs to load models."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from worker.models.model_key import ModelKey

if TYPE_CHECKING:
    from stable_diffusion.model import Model

OnProgress = Callable[[float], object]
"""Called with the share that is loaded, 0..1."""


class ModelLoader(Protocol):
    """Loads the models of a cache."""

    def budget(self) -> int:
        """How many bytes the models of the cache may take."""
        ...

    def base_of(self, key: ModelKey) -> ModelKey | None:
        """The model that one is made of, and shares weights with; None: it is read from its file.

        It may itself be made of another. May raise what loading would.
        """
        ...

    def estimate_bytes(self, key: ModelKey, base: "Model | None") -> int:
        """About how many bytes a model will need; may raise what loading it would."""
        ...

    def load(self, key: ModelKey, base: "Model | None", on_progress: OnProgress) -> "Model":
        """Load a model, or make it of its `base`."""
        ...
