"""One job for a request that is sent twice: the `Idempotency-Key` of a client and its body."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

from jobs import keys
from jobs.names import JobKind, JobType


@dataclass(frozen=True)
class Repeatable:
    """A request that may come again.

    Attributes:
        key: where Redis keeps its job.
        body: a digest of what was asked for.
    """

    key: str
    body: str

    @classmethod
    def of(cls, named: str, kind: JobKind, body: dict[str, Any], *, submitter: str) -> Self:
        """What a submitter named `named`. The same body in another order is the same body."""
        text = json.dumps([kind, body], sort_keys=True)
        return cls(keys.same(submitter, _digest(named)), _digest(text))


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A job that was taken in, as its submitter was told."""

    job_id: str
    type: JobType
    model: str
    warnings: tuple[str, ...] = ()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
