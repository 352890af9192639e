"""The record of a job in Redis, from the client's side: open it, read it, cancel it.

The worker's side is `jobs.records.claims`; the Lua scripts are in `jobs.records.record_steps`.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

import structlog
from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.errors import (
    JobAlreadyFinal,
    JobExpired,
    NoSuchJob,
    QueueFull,
    TooManyBytes,
    TooManyWaiting,
    UnreadableRecord,
)
from jobs.limits import WaitingCaps
from jobs.names import JOB_TYPES, JobType
from jobs.records import record_steps as steps
from jobs.records.idempotency import IdempotentRequest, SubmittedJob, redis_key
from jobs.records.new_job import NewJob
from jobs.records.record_fields import record_of, snapshot_of, status_of
from jobs.status import JobSnapshot, JobState, JobStatus

log = structlog.get_logger(__name__)

MAX_RECENT = 100
"""How many successful jobs `recent` keeps."""
ANY_SUBMITTER = "*"
"""In place of a submitter: a caller that may see and cancel every job."""
TOMBSTONE_TTL = 7 * 86_400
"""Seconds for which the id of an expired job stays known, unless the settings say otherwise."""


class JobRecords:
    """The records as API and tools see them. Safe to share between threads.

    Every method raises RecordsUnavailable when Redis does not answer or refuses to write.

    Args:
        redis: the Redis of the records.
        result_ttl_seconds: how long the record of an ended job is kept.
        tombstone_ttl: for how many seconds after that reading it raises JobExpired.
        caps: how many jobs may wait, and how much they may hold.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        result_ttl_seconds: int,
        tombstone_ttl: int = TOMBSTONE_TTL,
        caps: WaitingCaps | None = None,
    ) -> None:
        self._redis = redis
        self._ttl = result_ttl_seconds
        self._tombstone_ttl = tombstone_ttl
        self._caps = caps or WaitingCaps()
        self._unreadable: set[str] = set()
        self._open = redis.register_script(steps.OPEN)
        self._read = redis.register_script(steps.READ)
        self._watch = redis.register_script(steps.WATCH)
        self._cancel = redis.register_script(steps.CANCEL)

    def open(self, job: NewJob) -> SubmittedJob:
        """Write the record of a new job and put it into the queue of its type.

        Returns:
            This job, or the one that the same request with this idempotency key has started.

        Raises:
            TooManyWaiting, QueueFull, TooManyBytes, IdempotencyKeyReused: nothing was written.
        """
        idempotent = job.idempotent
        with reaching_redis():
            reply = self._open(
                keys=[idempotent.key] if idempotent else [],
                args=[
                    job.job_id,
                    job.request.type,
                    job.submitter,
                    self._caps.per_submitter,
                    self._caps.total,
                    self._caps.bytes_per_submitter,
                    idempotent.body if idempotent else "",
                    len(JOB_TYPES),
                    *JOB_TYPES,
                    *(part for field in job.fields.items() for part in field),
                ],
            )
        match cast(Literal["opened", "taken", "share", "full", "bytes", "same", "other"], reply):
            case "opened":
                return job.submitted
            case "taken":
                raise ValueError(f"the job id {job.job_id} is taken")
            case "share":
                raise TooManyWaiting(self._caps.per_submitter)
            case "full":
                raise QueueFull(self._caps.total)
            case "bytes":
                raise TooManyBytes(self._caps.bytes_per_submitter)
            case "same" | "other":
                assert idempotent
                return self.submitted_before(idempotent) or self.open(job)

    def submitted_before(self, request: IdempotentRequest) -> SubmittedJob | None:
        """The job that this request has started before; None if it is new.

        Raises IdempotencyKeyReused.
        """
        with reaching_redis():
            known = cast(dict[str, str], self._redis.hgetall(request.key))
        return request.job_in(known)

    def find(self, idempotency_key: str, *, submitter: str) -> str | None:
        """The id of the job that a submitter has sent under an idempotency key; None: no such."""
        with reaching_redis():
            key = redis_key(idempotency_key, submitter=submitter)
            return cast(str | None, self._redis.hget(key, "job"))

    def get(self, job_id: str) -> JobStatus:
        """The status of a job, with its queue position.

        Raises:
            NoSuchJob, JobExpired.
            UnreadableRecord: a later version wrote it, or fields are missing.
        """
        with reaching_redis():
            found = cast(list[Any] | str | None, self._read(args=[job_id]))
        if not found:
            raise NoSuchJob(job_id)
        if isinstance(found, str):
            raise JobExpired(job_id)
        if found[0] == "unreadable":
            raise UnreadableRecord(job_id, found[1])
        queue_position, fields = found
        return status_of(job_id, record_of(fields), queue_position)

    def snapshots(self, jobs: Mapping[str, int]) -> dict[str, JobSnapshot]:
        """The status and the latest preview of many jobs, in one round trip.

        Args:
            jobs: for each, how many `previews` its latest known snapshot counts; 0: none. A
                preview that the caller already has is not sent again.

        Returns:
            A snapshot of each job; none of those that have expired or never existed, nor of one
            that cannot be read: the log names it once.
        """
        with reaching_redis():
            replies = cast(
                list[list[Any] | str | None],
                self._watch(args=[part for job in jobs.items() for part in job]) if jobs else [],
            )
        snapshots: dict[str, JobSnapshot] = {}
        for job_id, found in zip(jobs, replies, strict=True):
            if isinstance(found, list):
                try:
                    snapshots[job_id] = snapshot_of(job_id, found)
                except UnreadableRecord as error:
                    self._log_once(error)
        return snapshots

    def _log_once(self, error: UnreadableRecord) -> None:
        if error.job_id not in self._unreadable and len(self._unreadable) < MAX_RECENT:
            self._unreadable.add(error.job_id)
            log.error("a job is left out", job=error.job_id, reason=str(error))

    def queue_position(self, job_id: str) -> int | None:
        """The position in the queue of its type, 1 being next; None unless the job is in it.

        Raises NoSuchJob or JobExpired.
        """
        return self.get(job_id).queue_position

    def cancel(self, job_id: str, *, by: str = ANY_SUBMITTER) -> JobState:
        """Cancel a waiting job at once; request the cancellation of a running one.

        Args:
            job_id: the job.
            by: the submitter that cancels it, or ANY_SUBMITTER.

        Returns:
            CANCELLED, or the running state in which the job was found: it will end CANCELLED.

        Raises:
            NoSuchJob: there is none, or it is another submitter's; which of them is not disclosed.
            JobExpired, JobAlreadyFinal.
        """
        state = self._end(job_id, by, delete=False)
        if state.final:
            raise JobAlreadyFinal(job_id, state)
        return JobState.CANCELLED if state is JobState.PENDING else state

    def delete(self, job_id: str, *, by: str = ANY_SUBMITTER) -> JobState:
        """Delete a successful job, its pictures with it; cancel one that has not ended.

        Returns and raises what `cancel` does, but SUCCESS means that the record is deleted:
        reading it raises JobExpired from now on, and `FileCleanup` deletes its pictures.
        """
        state = self._end(job_id, by, delete=True)
        if state.final and state is not JobState.SUCCESS:
            raise JobAlreadyFinal(job_id, state)
        return JobState.CANCELLED if state is JobState.PENDING else state

    def _end(self, job_id: str, by: str, *, delete: bool) -> JobState:
        with reaching_redis():
            found = cast(
                str, self._cancel(args=[job_id, by, self._ttl, self._tombstone_ttl, int(delete)])
            )
        if found == "none":
            raise NoSuchJob(job_id)
        if found == "expired":
            raise JobExpired(job_id)
        return JobState(found)

    def recent(self, count: int = 10, *, of: str = ANY_SUBMITTER) -> tuple[str, ...]:
        """The ids of the latest successful jobs that have a record, newest first.

        Args:
            count: at most so many, and MAX_RECENT.
            of: the submitter whose jobs they are, or ANY_SUBMITTER.
        """
        key = keys.RECENT if of == ANY_SUBMITTER else keys.recent_of(of)
        with reaching_redis():
            ids = cast(list[str], self._redis.lrange(key, 0, MAX_RECENT - 1))
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ids:
                pipe.exists(keys.job(job_id))
            exist = pipe.execute() if ids else []
        return tuple(job_id for job_id, exists in zip(ids, exist, strict=True) if exists)[:count]

    def waiting(self, job_type: JobType) -> int:
        """How many jobs of a type wait in its queue."""
        with reaching_redis():
            return cast(int, self._redis.zcard(keys.queue(job_type)))
