"""The exceptions of this package."""

from collections.abc import Iterable
from enum import StrEnum


class WorkerError(Exception):
    """Root of this package's exceptions.

    WorkerError
    ├── JobStopped        a running job must stop now; `reason` says why
    ├── UnknownModel      no model of that name is installed here
    ├── UnknownLora       no LoRA of that name is installed here
    ├── UnknownEmbedding  no embedding of that name is installed here
    ├── UnusableEmbedding  the file of an embedding in angle brackets cannot be read
    ├── UnknownVae        no autoencoder of that name is installed here
    ├── BadInputImage     an input image is missing or cannot be decoded
    ├── BadSource         the table of sources cannot be read, or does not list a model
    └── PullFailed        a model could not be downloaded
    """


class StopReason(StrEnum):
    """Why a running job stops, the strongest first."""

    LOST = "lost"  # another worker has the job, or it has ended: change nothing
    CANCELLED = "cancelled"
    HAND_BACK = "hand back"  # this worker shuts down: the job returns to the queue


class JobStopped(WorkerError):
    """Raised through the engine by its callback."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason = reason


class _NotInstalled(WorkerError):
    what = ""

    def __init__(self, name: str, installed: Iterable[str]) -> None:
        names = ", ".join(sorted(installed)) or "none"
        super().__init__(f"no {self.what} {name!r} here; installed: {names}")


class UnknownModel(_NotInstalled):
    """No model of that name is installed here."""

    what = "model"


class UnknownLora(_NotInstalled):
    """No LoRA of that name is installed here."""

    what = "LoRA"


class UnknownEmbedding(_NotInstalled):
    """No embedding of that name is installed here."""

    what = "embedding"


class UnusableEmbedding(WorkerError):
    """The file of an embedding that was named in angle brackets cannot be read."""


class UnknownVae(_NotInstalled):
    """No autoencoder of that name is installed here."""

    what = "VAE"


class BadInputImage(WorkerError):
    """An input image is missing or cannot be decoded."""


class BadSource(WorkerError):
    """The table of sources cannot be read, or does not list a model."""


class PullFailed(WorkerError):
    """A model could not be downloaded; the message says why, and what to do."""
