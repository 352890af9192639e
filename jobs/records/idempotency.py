"""One job for a request that is sent twice: the `Idempotency-Key` of a client and its body."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from jobs import keys
from jobs.errors import IdempotencyKeyReused
from jobs.names import JobKind, JobType


@dataclass(frozen=True, kw_only=True)
class SubmittedJob:
    """The answer to a submission, the same each time the request is repeated."""

    job_id: str
    type: JobType
    model: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class IdempotentRequest:
    """A request that may be sent again and then must not start a second job.

    Attributes:
        key: the Redis key of its job.
        body: a digest of the kind and the body.
    """

    key: str
    body: str

    @classmethod
    def of(
        cls, idempotency_key: str, kind: JobKind, body: dict[str, Any], *, submitter: str
    ) -> Self:
        """A submitter's request with an idempotency key; the order of the fields is irrelevant."""
        text = json.dumps([kind, body], sort_keys=True)
        return cls(redis_key(idempotency_key, submitter=submitter), _digest(text))

    def job_in(self, known: Mapping[str, str]) -> SubmittedJob | None:
        """The job in the hash under `key`; None: it names none. Raises IdempotencyKeyReused."""
        if not known.keys() >= {"body", "job", "type", "model", "warnings"}:
            return None
        if known["body"] != self.body:
            raise IdempotencyKeyReused
        return SubmittedJob(
            job_id=known["job"],
            type=cast(JobType, known["type"]),
            model=known["model"],
            warnings=tuple(json.loads(known["warnings"])),
        )


def redis_key(idempotency_key: str, *, submitter: str) -> str:
    """The name of the hash of a submitter's idempotency key."""
    return keys.idempotency(submitter, _digest(idempotency_key))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
