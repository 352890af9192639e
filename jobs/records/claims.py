"""The record of a job in Redis, from the worker's side: claim, renew, report, finish, hand back.

A claim is one atomic step that gives the job an owner, a lease by Redis' clock, a fencing token
and one more attempt. Every later step passes owner and token; outdated ones change nothing.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

import structlog
from redis import Redis
from redis.commands.core import Script

from jobs import keys
from jobs.connection import reaching_redis
from jobs.failures import FailureCode
from jobs.names import JOB_TYPES, JobType
from jobs.records import claim_steps as steps
from jobs.records import postpone_steps
from jobs.records.claim import Claim, ClaimStatus, HeldJob, ReapedJob, fields_of_claim
from jobs.records.record import MAX_RECENT, TOMBSTONE_TTL
from jobs.records.record_fields import DAMAGED, RECORD_VERSION
from jobs.status import Failure, JobState, Preview, Progress, Result

log = structlog.get_logger(__name__)

PREVIEW_TTL_SECONDS = 300
"""How long a preview is kept if nothing deletes it before, as the end of its job does."""
MAX_HAND_BACKS = 20
"""How often a job may be handed back before each further time counts as an attempt."""
PAUSES_SECONDS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0, 300.0)
"""For how long a job is postponed, the first time and each further time."""
PAUSES_WINDOW_SECONDS = 3600.0
"""A postponement that is longer ago does not count any more."""


class Claims:
    """The records as workers see them. Safe to share between threads.

    Every method raises RecordsUnavailable when Redis does not answer or refuses to write.

    Args:
        redis: the Redis of the records.
        lease_seconds: how long a claim is valid unless it is renewed.
        max_attempts: how many times a job may be started before it fails as `worker_died`.
        result_ttl_seconds: how long the record of an ended job is kept.
        tombstone_ttl: for how many seconds after that reading it raises JobExpired.
        max_hand_backs: see MAX_HAND_BACKS.
        pauses: see PAUSES_SECONDS; their number is how often a job may be postponed.
        pauses_window: see PAUSES_WINDOW_SECONDS.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        lease_seconds: float,
        max_attempts: int,
        result_ttl_seconds: int,
        tombstone_ttl: int = TOMBSTONE_TTL,
        max_hand_backs: int = MAX_HAND_BACKS,
        pauses: Sequence[float] = PAUSES_SECONDS,
        pauses_window: float = PAUSES_WINDOW_SECONDS,
    ) -> None:
        self._redis = redis
        self._lease = lease_seconds
        self._max_attempts = max_attempts
        self._ttls = [result_ttl_seconds, tombstone_ttl]
        self._max_hand_backs = max_hand_backs
        self._pauses = tuple(pauses)
        self._pauses_window = pauses_window
        self._claim = redis.register_script(steps.CLAIM)
        self._renew = redis.register_script(steps.RENEW)
        self._report = redis.register_script(steps.REPORT)
        self._preview = redis.register_script(steps.PREVIEW)
        self._note = redis.register_script(steps.NOTE)
        self._loading = redis.register_script(steps.LOADING)
        self._finish = redis.register_script(steps.FINISH)
        self._hand_back = redis.register_script(steps.HAND_BACK)
        self._postpone = redis.register_script(postpone_steps.POSTPONE)
        self._reap = redis.register_script(steps.REAP)
        self._release = redis.register_script(postpone_steps.RELEASE)
        self._overdue = redis.register_script(steps.OVERDUE)

    def claim(self, job_type: JobType, owner: str) -> Claim | None:
        """Take the next waiting job of a type that this process can read; None when there is none.

        A job whose record is damaged fails, and the next one is taken.

        Args:
            job_type: the type.
            owner: the id of the worker.
        """
        owner = f"{owner}:{secrets.token_hex(4)}"
        while True:
            with reaching_redis():
                taken = cast(
                    list[Any] | None,
                    self._claim(args=[job_type, owner, self._lease, RECORD_VERSION]),
                )
            if not taken:
                return None
            job_id, token, attempt, *fields = taken
            held = HeldJob(job_id=job_id, owner=owner, token=int(token))
            try:
                found = fields_of_claim(fields)
            except (ValueError, TypeError) as error:
                log.error("a job with a damaged record fails", job=job_id, reason=str(error))
                self.fail(held, DAMAGED)
            else:
                return Claim(**asdict(held), type=job_type, attempt=int(attempt), **found)

    def renew(self, claim: Claim) -> ClaimStatus:
        """Extend the lease to `lease_seconds` from now."""
        return _run(self._renew, claim, self._lease)

    def report(self, claim: Claim, progress: Progress) -> ClaimStatus:
        """Record the progress. The job's fraction never falls, whatever is reported."""
        return _run(self._report, claim, progress.model_dump_json(), progress.fraction)

    def preview(self, claim: Claim, preview: Preview) -> ClaimStatus:
        """Record a preview, which is kept until the next one or the job's end."""
        return _run(self._preview, claim, preview.model_dump_json(), PREVIEW_TTL_SECONDS)

    def loading(self, claim: Claim, fraction: float) -> ClaimStatus:
        """Record how much of the job's model is loaded, 0..1, until the first progress."""
        return _run(self._loading, claim, fraction)

    def warn(self, claim: Claim, warnings: tuple[str, ...]) -> ClaimStatus:
        """Replace the job's warnings: those of its submission and those the worker adds."""
        return self._set_fields(claim, warnings=json.dumps(warnings))

    def publishing(
        self, claim: Claim, names: Sequence[str], *, size: int, saved: bool
    ) -> ClaimStatus:
        """Record the names of the job's pictures, before the files get them.

        So that the files can be found and deleted, however the job ends.

        Args:
            claim: the job.
            names: of the pictures.
            size: of all of them, in bytes.
            saved: False if the pictures are transient (`skip_save`).

        Returns:
            HELD: publish them. CANCEL or LOST: do not.
        """
        kept = keys.SAVED if saved else keys.TRANSIENT
        return self._set_fields(claim, names=json.dumps(list(names)), bytes=str(size), kept=kept)

    def finish(self, claim: Claim, result: Result) -> ClaimStatus:
        """End the job with SUCCESS. CANCEL or LOST: nothing was changed."""
        return self._end(claim, JobState.SUCCESS, "result", result.model_dump_json())

    def fail(self, claim: HeldJob, failure: Failure) -> ClaimStatus:
        """End the job with FAILURE. CANCEL or LOST: nothing was changed."""
        return self._end(claim, JobState.FAILURE, "failure", failure.model_dump_json())

    def cancelled(self, claim: Claim) -> ClaimStatus:
        """End a job whose cancellation was requested, with CANCELLED."""
        return self._end(claim, JobState.CANCELLED, "owner", "")

    def _set_fields(self, claim: Claim, **fields: str) -> ClaimStatus:
        return _run(self._note, claim, *(part for field in fields.items() for part in field))

    def hand_back(self, claim: Claim) -> ClaimStatus:
        """Return the job to its former position in the queue.

        The attempt does not count, unless the job was handed back too often before.

        Returns:
            CANCEL: the job has ended instead. It was cancelled, or has no attempt left.
        """
        failure = Failure(
            code=FailureCode.WORKER_DIED,
            message=f"workers that shut down returned this job more than {self._max_hand_backs} "
            "times",
        )
        return _run(
            self._hand_back,
            claim,
            *self._ttls,
            self._max_hand_backs,
            self._max_attempts,
            failure.model_dump_json(),
        )

    def postpone(self, claim: Claim, failure: Failure) -> ClaimStatus:
        """Postpone a job because the store or Redis failed; the attempt does not count.

        Each pause is the next of `pauses`. A job that has had them all ends with the failure.
        CANCEL or LOST: nothing was changed.
        """
        return _run(
            self._postpone,
            claim,
            *self._ttls,
            failure.model_dump_json(),
            self._pauses_window,
            *self._pauses,
        )

    def release_postponed(self) -> tuple[tuple[str, JobType], ...]:
        """Return every postponed job whose pause is over to its queue: its id and its type."""
        longest = max(self._pauses, default=0)
        with reaching_redis():
            return tuple(
                (job_id, job_type)
                for job_type in JOB_TYPES
                for job_id in cast(list[str], self._release(args=[job_type, longest]))
            )

    def reap(self) -> tuple[ReapedJob, ...]:
        """Return every job whose lease has expired to the queue, or end it.

        Nothing is reaped for half a lease after reapers, Redis or its clock were interrupted.
        """
        died = Failure(
            code=FailureCode.WORKER_DIED,
            message=f"worker died {self._max_attempts} times running this job",
        )
        with reaching_redis():
            found = cast(
                list[str],
                self._reap(
                    args=[
                        *self._ttls,
                        self._max_attempts,
                        died.model_dump_json(),
                        self._lease,
                        RECORD_VERSION,
                    ]
                ),
            )
        return tuple(
            ReapedJob(job_id, cast(JobType, job_type), JobState(state))
            for job_id, state, job_type in zip(*[iter(found)] * 3, strict=True)
        )

    def overdue(self, job_type: JobType, *, seconds: float) -> int:
        """How many jobs wait, if the next one has waited for `seconds`; else 0.

        Within each period of `seconds` one caller gets the number; the others get 0.
        """
        with reaching_redis():
            reply = self._overdue(args=[job_type, seconds])
        return cast(int, reply)

    def _end(self, claim: HeldJob, state: JobState, field: str, value: str) -> ClaimStatus:
        return _run(self._finish, claim, state, *self._ttls, MAX_RECENT, field, value)


def _run(script: Script, claim: HeldJob, *args: str | float) -> ClaimStatus:
    """Run a script that changes the job only while the claim holds it."""
    with reaching_redis():
        reply = script(args=[claim.job_id, claim.token, claim.owner, *args])
    return ClaimStatus(cast(str, reply))
