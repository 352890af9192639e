"""The exceptions of the engine."""


class EngineError(Exception):
    """Base class of the engine's exceptions.

    EngineError
    ├── PromptError        (ValueError) the prompt violates its grammar
    ├── RecipeError        (ValueError) a recipe has parameters that are not possible
    │   ├── UnknownSampler  no sampler has that name
    │   └── LoraMismatch    a LoRA was made for another kind of model
    ├── NumericalError     the network returned NaN or infinity
    └── ModelError
        ├── ModelNotFound   there is no such model file or folder
        └── UnreadableModel the file or folder is not one that the engine can open

    A PromptError and a RecipeError are faults of the request, a ModelError is one of an installed
    file: the same request fails again.
    """


class PromptError(EngineError, ValueError):
    """The prompt violates its grammar.

    Attributes:
        position: index of the offending character in the prompt, from 0; None: the fault has no
            single position.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class RecipeError(EngineError, ValueError):
    """A recipe has parameters that are not possible."""


class UnknownSampler(RecipeError):
    """No sampler has that name; the message lists those that exist."""


class LoraMismatch(RecipeError):
    """A LoRA was made for another kind of model; the message says which layer does not fit."""


class NumericalError(EngineError):
    """The network returned NaN or infinity."""


class ModelError(EngineError):
    """A model cannot be loaded."""


class ModelNotFound(ModelError):
    """There is no such model file or folder."""


class UnreadableModel(ModelError):
    """The file or folder is not one that the engine can open."""
