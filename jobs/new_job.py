"""What a record is opened with."""

import uuid
from dataclasses import dataclass
from typing import Any

from jobs.idempotency import Accepted, Repeatable
from jobs.request import PROMPTS, Request


def new_job_id() -> str:
    """An id that nobody can guess."""
    return str(uuid.uuid4())


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What a record is opened with.

    Attributes:
        request: settled, that is with its model chosen and its seed drawn.
        warnings: what could not be honoured to the letter, as far as known at submission.
        prompts: those of the request's prompt file; empty: the request's own.
        submitter: a digest of the key, so that only its owner may cancel; empty: anybody.
        repeatable: what tells it from another request of the same submitter, if it was named.
    """

    job_id: str
    request: Request
    model: str
    warnings: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    submitter: str = ""
    repeatable: Repeatable | None = None

    @property
    def accepted(self) -> Accepted:
        """What its submitter is told."""
        return Accepted(
            job_id=self.job_id, type=self.request.type, model=self.model, warnings=self.warnings
        )

    @property
    def stored_request(self) -> dict[str, Any]:
        """The request as its record keeps it."""
        prompts = {PROMPTS: list(self.prompts)} if self.prompts else {}
        return self.request.stored() | prompts
