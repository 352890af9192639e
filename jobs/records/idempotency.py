"""One job for a request that is sent twice: the `Idempotency-Key` of a client and its body."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

from jobs import keys
from jobs.names import JobKind, JobType


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


@dataclass(frozen=True, kw_only=True)
class SubmittedJob:
    """The answer to a submission, the same each time the request is repeated."""

    job_id: str
    type: JobType
    model: str
    warnings: tuple[str, ...] = ()


def redis_key(idempotency_key: str, *, submitter: str) -> str:
    """The name of the hash of a submitter's idempotency key."""
    return keys.idempotency(submitter, _digest(idempotency_key))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
