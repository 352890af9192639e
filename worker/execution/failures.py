"""Which failure code and message the client gets for an exception."""

from jobs.errors import (
    InvalidRequest,
    NoSuchPicture,
    RecordsUnavailable,
    StoreError,
    StoreFull,
    UnsafeName,
)
from jobs.failures import FailureCode
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
from worker.errors import (
    BadInputImage,
    UnknownEmbedding,
    UnknownLora,
    UnknownModel,
    UnknownVae,
    UnusableEmbedding,
)

# The first match counts, so a class precedes its base class. The message is the exception's.
_CODES: tuple[tuple[type[Exception], FailureCode], ...] = (
    (PromptError, FailureCode.BAD_PROMPT),
    (LoraMismatch, FailureCode.LORA_MISMATCH),
    (RecipeError, FailureCode.BAD_REQUEST),
    (InvalidRequest, FailureCode.BAD_REQUEST),
    (BadInputImage, FailureCode.BAD_IMAGE),
    (NoSuchPicture, FailureCode.BAD_IMAGE),
    (UnknownModel, FailureCode.UNKNOWN_MODEL),
    (UnknownLora, FailureCode.UNKNOWN_LORA),
    (UnknownEmbedding, FailureCode.UNKNOWN_EMBEDDING),
    (UnusableEmbedding, FailureCode.UNKNOWN_EMBEDDING),
    (UnknownVae, FailureCode.UNKNOWN_VAE),
    (ModelNotFound, FailureCode.UNKNOWN_MODEL),
    (UnreadableModel, FailureCode.MODEL_UNREADABLE),
    (NumericalError, FailureCode.NOT_A_NUMBER),
    (EngineError, FailureCode.ENGINE_FAILED),
    (StoreFull, FailureCode.STORAGE_FULL),
    (StoreError, FailureCode.STORAGE_FAILED),
    (RecordsUnavailable, FailureCode.RECORDS_UNAVAILABLE),
)
# torch's CPU allocator raises a plain RuntimeError, and so do CUDA's libraries
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "status_alloc_failed",
)


def failure_of(error: Exception) -> Failure:
    """The code and the message for the client. Reveals nothing of the machine, such as paths."""
    for exception, code in _CODES:
        if isinstance(error, exception):
            return Failure(code=code, message=str(error))
    if is_out_of_memory(error):
        return Failure(
            code=FailureCode.OUT_OF_MEMORY,
            message="the worker ran out of memory; try a smaller picture, fewer n_samples, or the "
            "type optimized",
        )
    return Failure(
        code=FailureCode.INTERNAL_ERROR,
        message=f"the worker failed unexpectedly ({type(error).__name__})",
    )


def is_passing(error: Exception) -> bool:
    """Whether the store or Redis failed, so that the same job may succeed later."""
    if isinstance(error, (NoSuchPicture, UnsafeName)):
        return False
    return isinstance(error, (StoreError, RecordsUnavailable))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, on the CPU or on a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in _OUT_OF_MEMORY
    )


def is_device_error(error: BaseException) -> bool:
    """Whether the GPU itself failed; after some errors a process cannot use its GPU any more."""
    return type(error).__name__ == "AcceleratorError" or (
        isinstance(error, RuntimeError) and "cuda error" in str(error).lower()
    )
