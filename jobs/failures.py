"""Why a job can fail: one code each, and whether the request or the service is at fault."""

from enum import StrEnum


class FailureCode(StrEnum):
    """The `code` of a failed job. `jobs.status.Failure` keeps it as text, so that a record which
    another version wrote, with a code that is not listed here, can still be read.
    """

    BAD_PROMPT = "bad_prompt"
    BAD_REQUEST = "bad_request"
    BAD_IMAGE = "bad_image"
    LORA_MISMATCH = "lora_mismatch"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_LORA = "unknown_lora"
    UNKNOWN_EMBEDDING = "unknown_embedding"
    UNKNOWN_VAE = "unknown_vae"

    MODEL_UNREADABLE = "model_unreadable"
    NOT_A_NUMBER = "not_a_number"
    ENGINE_FAILED = "engine_failed"
    OUT_OF_MEMORY = "out_of_memory"
    STORAGE_FULL = "storage_full"
    STORAGE_FAILED = "storage_failed"
    RECORDS_UNAVAILABLE = "records_unavailable"
    WORKER_DIED = "worker_died"
    INTERNAL_ERROR = "internal_error"

    @property
    def requests_fault(self) -> bool:
        """Whether only another request can succeed; otherwise the service is at fault."""
        return is_requests_fault(self)


_FAULTS_OF_THE_REQUEST: frozenset[str] = frozenset(
    {
        FailureCode.BAD_PROMPT,
        FailureCode.BAD_REQUEST,
        FailureCode.BAD_IMAGE,
        FailureCode.LORA_MISMATCH,
        FailureCode.UNKNOWN_MODEL,
        FailureCode.UNKNOWN_LORA,
        FailureCode.UNKNOWN_EMBEDDING,
        FailureCode.UNKNOWN_VAE,
    }
)


def is_requests_fault(code: str) -> bool:
    """The same for the text in a record; an unknown code counts as the service's fault."""
    return code in _FAULTS_OF_THE_REQUEST
