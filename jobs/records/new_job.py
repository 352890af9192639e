"""The content of a job when its record is opened."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from typing import Any

from jobs.records.idempotency import IdempotentRequest, SubmittedJob
from jobs.records.record_fields import RECORD_VERSION
from jobs.records.stored_prompts import PROMPTS_OF_PARTS, shortened_request
from jobs.validation.request import AnyRequest, Upscale


def new_job_id() -> str:
    """An id that nobody can guess."""
    return str(uuid.uuid4())


def user_digest(user: str, *, submitter: str) -> str:
    """What a record keeps of the name that a client gave one of its users; empty for no name."""
    if not user:
        return ""
    text = f"user:{submitter}:{user}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """The content of a job when its record is opened.

    Attributes:
        request: settled: its model is chosen and its seed is picked, if it has any.
        model: the name of its model; empty for a request that needs none.
        warnings: which parameters cannot be honoured exactly, as far as known at submission.
        prompts: those of the parts of the request, of a prompt file or drawn; empty: its own.
        negative_prompts, hires_prompts, hires_negative_prompts: those that were drawn for the
            parts; empty: the request's own.
        submitter: a digest of the API key, so that no other key may cancel the job; empty: any may.
        user: a digest of the submitter's user whose job it is; the users of one submitter take
            turns. Empty: no user is known.
        idempotent: the request as its idempotency key identifies it; None without such a key.
    """

    job_id: str
    request: AnyRequest
    model: str
    warnings: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    negative_prompts: tuple[str, ...] = ()
    hires_prompts: tuple[str, ...] = ()
    hires_negative_prompts: tuple[str, ...] = ()
    submitter: str = ""
    user: str = ""
    idempotent: IdempotentRequest | None = None

    @property
    def fields(self) -> dict[str, str | int]:
        """The fields of its record that no script sets; `jobs.records.record_fields` lists all."""
        request, stored = self.request, self.stored_request
        fields: dict[str, str | int] = {
            "version": RECORD_VERSION,
            "kind": request.kind,
            "priority": request.priority,
            "request": _json(stored),
            "inputs": _json(list(request.inputs)),
            "model": self.model,
            "warnings": _json(self.warnings),
        }
        if (ended := shortened_request(stored)) != stored:
            fields["ended_request"] = _json(ended)
        if request.webhook is not None:
            fields["webhook"] = request.webhook
        if self.user:
            fields["user"] = self.user
        return fields

    @property
    def submitted(self) -> SubmittedJob:
        """The answer to its submission."""
        return SubmittedJob(
            job_id=self.job_id, type=self.request.type, model=self.model, warnings=self.warnings
        )

    @property
    def image_count(self) -> int:
        """How many pictures all its parts make, without a grid."""
        request, texts = self.request, len(self.prompts)
        if isinstance(request, Upscale):
            return request.image_count
        if request.wildcards:
            return texts
        return request.image_count * len(request.combinations()) * (texts or 1)

    @property
    def stored_request(self) -> dict[str, Any]:
        """The request as its record keeps it until the job has ended."""
        of_parts = {key: [*getattr(self, key)] for key in PROMPTS_OF_PARTS.values()}
        return self.request.stored() | {key: texts for key, texts in of_parts.items() if texts}


def _json(value: Any) -> str:
    """As UTF-8, which takes a third of the bytes of escapes in most scripts."""
    return json.dumps(value, ensure_ascii=False)
