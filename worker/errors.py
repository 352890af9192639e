"""What ends a job early, and how a failure is told to the client."""

from enum import StrEnum

from jobs.errors import InvalidRequest, NoSuchPicture, RecordsUnavailable, StoreError, StoreFull
from jobs.status import Failure
from stable_diffusion.errors import (
    EngineError,
    LoraMismatch,
    ModelNotFound,
    NumericalError,
    PromptError,
    RecipeError,
    UnreadableModel,
)


class WorkerError(Exception):
    """Root of this package's errors.

    WorkerError
    ├── JobStopped      a running job must stop now; `reason` says why
    ├── UnknownModel    no model of that name is installed here
    ├── UnknownLora     no LoRA of that name is installed here
    ├── UnknownEmbedding  no embedding of that name is installed here
    ├── BadSource       the table of sources cannot be read, or does not name a model
    ├── PullFailed      a model could not be fetched
    └── BadInitImage    the stored init image cannot be opened
    """


class StopReason(StrEnum):
    """Why a running job stops, the strongest first."""

    LOST = "lost"  # another worker has it, or it has ended: change nothing
    CANCELLED = "cancelled"
    HAND_BACK = "hand back"  # this worker shuts down: another shall run it


class JobStopped(WorkerError):
    """Raised out of the engine by its call-back."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownModel(WorkerError):
    """No model of that name is installed here."""

    def __init__(self, name: str, installed: list[str]) -> None:
        super().__init__(f"no model {name!r} here; installed: {', '.join(installed) or 'none'}")


class UnknownLora(WorkerError):
    """No LoRA of that name is installed here."""

    def __init__(self, name: str, installed: list[str]) -> None:
        super().__init__(f"no LoRA {name!r} here; installed: {', '.join(installed) or 'none'}")


class UnknownEmbedding(WorkerError):
    """No embedding of that name is installed here."""

    def __init__(self, name: str, installed: list[str]) -> None:
        super().__init__(f"no embedding {name!r} here; installed: {', '.join(installed) or 'none'}")


class BadSource(WorkerError):
    """The table of sources cannot be read, or has no source of a model."""


class PullFailed(WorkerError):
    """A model could not be fetched; the message says why, and what to do."""


class BadInitImage(WorkerError):
    """The stored init image cannot be opened."""


# first match wins; the sentence is the error's own
_TOLD: tuple[tuple[type[Exception], str], ...] = (
    (PromptError, "bad_prompt"),
    (LoraMismatch, "lora_mismatch"),
    (RecipeError, "bad_request"),
    (InvalidRequest, "bad_request"),
    (BadInitImage, "bad_image"),
    (NoSuchPicture, "bad_image"),
    (UnknownModel, "unknown_model"),
    (UnknownLora, "unknown_lora"),
    (UnknownEmbedding, "unknown_embedding"),
    (ModelNotFound, "unknown_model"),
    (UnreadableModel, "model_unreadable"),
    (NumericalError, "not_a_number"),
    (EngineError, "engine_failed"),
    (StoreFull, "storage_full"),
    (StoreError, "storage_failed"),
    (RecordsUnavailable, "records_unavailable"),
)
# torch's CPU allocator raises a plain RuntimeError, and so do CUDA's libraries
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "status_alloc_failed",
)


def failure_of(error: Exception) -> Failure:
    """The code and the sentence for a client. Says nothing of the machine's insides."""
    for kind, code in _TOLD:
        if isinstance(error, kind):
            return Failure(code=code, message=str(error))
    if is_out_of_memory(error):
        return Failure(
            code="out_of_memory",
            message="the worker ran out of memory; try a smaller picture, fewer n_samples, or the "
            "type optimized",
        )
    return Failure(
        code="internal_error", message=f"the worker failed unexpectedly ({type(error).__name__})"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the CPU or on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in _OUT_OF_MEMORY
    )


def is_device_error(error: BaseException) -> bool:
    """Whether an error is the device's own; after some of them a GPU computes no more here."""
    return type(error).__name__ == "AcceleratorError" or (
        isinstance(error, RuntimeError) and "cuda error" in str(error).lower()
    )
