"""What can go wrong in the engine, and how to tell it apart."""


class EngineError(Exception):
    """Everything the engine raises on purpose.

    EngineError
    ├── PromptError        (ValueError) the prompt cannot be read as it is written
    ├── RecipeError        (ValueError) a recipe asks for what cannot be made
    │   ├── UnknownSampler  no sampler goes by that name
    │   └── LoraMismatch    a LoRA was made for another kind of model
    ├── NumericalError     the network answered with values that are not numbers
    └── ModelError
        ├── ModelNotFound   no model file or folder at that place
        └── UnreadableModel there is one, but not one this engine can open

    A PromptError and a RecipeError are the request's fault, a ModelError that of an installed
    file: the same request fails the same way again.
    """


class PromptError(EngineError, ValueError):
    """The prompt cannot be read as it is written.

    Attributes:
        position: index of the offending character in the prompt, from 0; None where the fault
            lies in the prompt as a whole.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class RecipeError(EngineError, ValueError):
    """A recipe asks for what cannot be made."""


class UnknownSampler(RecipeError):
    """No sampler goes by that name; the message lists those that exist."""


class LoraMismatch(RecipeError):
    """A LoRA was made for another kind of model; the message says which layer does not fit."""


class NumericalError(EngineError):
    """The network answered with values that are not numbers."""


class ModelError(EngineError):
    """A model cannot be had."""


class ModelNotFound(ModelError):
    """No model file or folder at that place."""


class UnreadableModel(ModelError):
    """There is a file, but not one this engine can open."""
