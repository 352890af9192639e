"""The record of a job in Redis, from the worker's side: claim, renew, report, finish, hand back.

A claim is one atomic step that gives the job an owner, a lease by Redis' clock, a fencing token
and one more attempt. Every later step shows the token; one that is out of date changes nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from redis import Redis

from jobs import claim_steps as steps
from jobs.connection import reaching_redis
from jobs.failures import FailureCode
from jobs.names import JobKind, JobType
from jobs.record import KEPT_RECENT, REMEMBERED_SECONDS
from jobs.status import Failure, JobState, Preview, Progress, Result

PREVIEW_TTL_SECONDS = 300
"""How long a preview is kept at most. Whatever ends the job or hands it back deletes it before."""


class ClaimStatus(StrEnum):
    """What a worker is told of its job: still its own, to be cancelled, or no longer its own."""

    HELD = "held"
    CANCEL = "cancel"
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job in a worker's hands.

    Attributes:
        token: the fencing token, larger than any the job had before.
        attempt: 1 for the first worker that starts it.
        stored_request: the request's JSON, for `jobs.request.read_stored`.
        warnings: those of the job's submission.
        submitted, started: seconds since the epoch by Redis' clock; started by the first attempt.
    """

    job_id: str
    type: JobType
    kind: JobKind
    owner: str
    token: int
    attempt: int
    stored_request: str
    model: str
    warnings: tuple[str, ...]
    submitted: float
    started: float


@dataclass(frozen=True)
class Orphan:
    """A job whose worker vanished, and what became of it: PENDING again, FAILURE or CANCELLED."""

    job_id: str
    type: JobType
    state: JobState


class Claims:
    """The records as workers see them. Safe to share between threads.

    Every method raises RecordsUnavailable when Redis does not answer or refuses to write.

    Args:
        redis: the Redis of the records.
        lease_seconds: how long a claim stands without being renewed.
        max_attempts: how many workers may start a job before it counts as their killer.
        result_ttl_seconds: how long the record of an ended job is kept.
        remembered_seconds: how much longer its id is known.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        lease_seconds: float,
        max_attempts: int,
        result_ttl_seconds: int,
        remembered_seconds: int = REMEMBERED_SECONDS,
    ) -> None:
        self._redis = redis
        self._lease = lease_seconds
        self._max_attempts = max_attempts
        self._kept = [result_ttl_seconds, remembered_seconds]
        self._claim = redis.register_script(steps.CLAIM)
        self._renew = redis.register_script(steps.RENEW)
        self._report = redis.register_script(steps.REPORT)
        self._preview = redis.register_script(steps.PREVIEW)
        self._note = redis.register_script(steps.NOTE)
        self._loading = redis.register_script(steps.LOADING)
        self._finish = redis.register_script(steps.FINISH)
        self._hand_back = redis.register_script(steps.HAND_BACK)
        self._reap = redis.register_script(steps.REAP)
        self._overdue = redis.register_script(steps.OVERDUE)

    def claim(self, job_type: JobType, owner: str) -> Claim | None:
        """Take the next waiting job of a type; None when there is none."""
        with reaching_redis():
            taken = cast(list[str] | None, self._claim(args=[job_type, owner, self._lease]))
        if not taken:
            return None
        job_id, token, attempt, kind, request, model, warnings, submitted, started = taken
        return Claim(
            job_id=job_id,
            type=job_type,
            kind=cast(JobKind, kind),
            owner=owner,
            token=int(token),
            attempt=int(attempt),
            stored_request=request,
            model=model,
            warnings=tuple(json.loads(warnings)),
            submitted=float(submitted),
            started=float(started),
        )

    def renew(self, claim: Claim) -> ClaimStatus:
        """Make the lease run anew from now."""
        with reaching_redis():
            reply = self._renew(args=[claim.job_id, claim.token, self._lease])
        return ClaimStatus(cast(str, reply))

    def report(self, claim: Claim, progress: Progress) -> ClaimStatus:
        """Show how far the job is. Its fraction never falls, whatever is reported."""
        with reaching_redis():
            reply = self._report(
                args=[claim.job_id, claim.token, progress.model_dump_json(), progress.fraction]
            )
        return ClaimStatus(cast(str, reply))

    def preview(self, claim: Claim, preview: Preview) -> ClaimStatus:
        """Show what the job looks like so far, until the next preview or the job's end."""
        with reaching_redis():
            reply = self._preview(
                args=[claim.job_id, claim.token, preview.model_dump_json(), PREVIEW_TTL_SECONDS]
            )
        return ClaimStatus(cast(str, reply))

    def loading(self, claim: Claim, share: float) -> ClaimStatus:
        """Show how much of the job's model is loaded, 0..1, until the job draws."""
        with reaching_redis():
            reply = self._loading(args=[claim.job_id, claim.token, share])
        return ClaimStatus(cast(str, reply))

    def warn(self, claim: Claim, warnings: tuple[str, ...]) -> ClaimStatus:
        """Replace the job's warnings: those of its submission and those the worker adds."""
        return self._write_down(claim, warnings=json.dumps(warnings))

    def publishing(
        self, claim: Claim, names: Sequence[str], *, size: int, saved: bool
    ) -> ClaimStatus:
        """Write down which pictures are about to get their names, before they get them.

        So that whoever finds the job later, however it ended, knows which files are its own.

        Args:
            claim: the job.
            names: the pictures'.
            size: bytes of all of them.
            saved: whether they are kept, not only to be fetched.

        Returns:
            HELD: publish them. CANCEL or LOST: they must not be seen.
        """
        kept = "saved" if saved else "transient"
        return self._write_down(claim, names=json.dumps(list(names)), bytes=str(size), kept=kept)

    def finish(self, claim: Claim, result: Result) -> ClaimStatus:
        """End the job with SUCCESS. CANCEL or LOST: nothing was changed, the result is void."""
        return self._end(claim, JobState.SUCCESS, "result", result.model_dump_json())

    def fail(self, claim: Claim, failure: Failure) -> ClaimStatus:
        """End the job with FAILURE. CANCEL or LOST: nothing was changed."""
        return self._end(claim, JobState.FAILURE, "failure", failure.model_dump_json())

    def cancelled(self, claim: Claim) -> ClaimStatus:
        """End a job that was asked to stop, with CANCELLED."""
        return self._end(claim, JobState.CANCELLED, "owner", "")

    def _write_down(self, claim: Claim, **facts: str) -> ClaimStatus:
        flat = [part for fact in facts.items() for part in fact]
        with reaching_redis():
            reply = self._note(args=[claim.job_id, claim.token, *flat])
        return ClaimStatus(cast(str, reply))

    def hand_back(self, claim: Claim) -> ClaimStatus:
        """Put the job back where it stood in the queue; the attempt does not count."""
        with reaching_redis():
            reply = self._hand_back(args=[claim.job_id, claim.token, *self._kept])
        return ClaimStatus(cast(str, reply))

    def reap(self) -> tuple[Orphan, ...]:
        """Take every job whose lease has run out from its owner: back to the queue, or ended."""
        died = Failure(
            code=FailureCode.WORKER_DIED,
            message=f"worker died {self._max_attempts} times running this job",
        )
        with reaching_redis():
            found = cast(
                list[str],
                self._reap(args=[*self._kept, self._max_attempts, died.model_dump_json()]),
            )
        return tuple(
            Orphan(job_id, cast(JobType, job_type), JobState(state))
            for job_id, state, job_type in zip(*[iter(found)] * 3, strict=True)
        )

    def overdue(self, job_type: JobType, *, seconds: float) -> int:
        """How many jobs wait, when the first of them has waited `seconds` with nobody woken.

        Of all workers that ask, one is told within each period of `seconds`; the others get 0.
        """
        with reaching_redis():
            reply = self._overdue(args=[job_type, seconds])
        return cast(int, reply)

    def _end(self, claim: Claim, state: JobState, field: str, value: str) -> ClaimStatus:
        with reaching_redis():
            reply = self._finish(
                args=[claim.job_id, claim.token, state, *self._kept, KEPT_RECENT, field, value]
            )
        return ClaimStatus(cast(str, reply))
