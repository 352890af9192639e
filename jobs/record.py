"""The record of a job in Redis, from the client's side: open it, read it, cancel it.

The worker's side is `jobs.claims`; the atomic steps are in `jobs.record_steps`.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal, cast

from redis import Redis

from jobs import keys
from jobs import record_steps as steps
from jobs.connection import reaching_redis
from jobs.errors import (
    JobAlreadyFinal,
    JobExpired,
    KeyUsedOtherwise,
    NoSuchJob,
    QueueFull,
    TooManyWaiting,
)
from jobs.idempotency import Accepted, Repeatable
from jobs.limits import WaitingCaps
from jobs.names import JOB_TYPES, JobType
from jobs.new_job import NewJob
from jobs.record_fields import record_of, status_of
from jobs.status import JobState, JobStatus, Preview, Sight

KEPT_RECENT = 100
ANYBODYS = "*"
"""Who may cancel every job."""
REMEMBERED_SECONDS = 7 * 86_400
"""How long the id of an expired job is known, unless the settings say otherwise."""


class JobRecords:
    """The records as API and tools see them. Safe to share between threads.

    Every method raises RecordsUnavailable when Redis does not answer or refuses to write.

    Args:
        redis: the Redis of the records.
        result_ttl_seconds: how long the record of an ended job is kept.
        remembered_seconds: how much longer its id is known, to be answered with JobExpired.
        caps: how many jobs may wait.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        result_ttl_seconds: int,
        remembered_seconds: int = REMEMBERED_SECONDS,
        caps: WaitingCaps | None = None,
    ) -> None:
        self._redis = redis
        self._ttl = result_ttl_seconds
        self._remembered = remembered_seconds
        self._caps = caps or WaitingCaps()
        self._open = redis.register_script(steps.OPEN)
        self._read = redis.register_script(steps.READ)
        self._watch = redis.register_script(steps.WATCH)
        self._cancel = redis.register_script(steps.CANCEL)

    def open(self, job: NewJob) -> Accepted:
        """Write the record of a new job and put it in line with those of its type.

        Returns:
            The job: this one, or the one that the same request has had before.

        Raises:
            TooManyWaiting, QueueFull, KeyUsedOtherwise: nothing was written.
        """
        request, again = job.request, job.repeatable
        fields = {
            "kind": request.kind,
            "priority": request.priority,
            "request": json.dumps(job.stored_request),
            "model": job.model,
            "warnings": json.dumps(job.warnings),
        }
        if request.webhook is not None:
            fields["webhook"] = request.webhook
        with reaching_redis():
            reply = self._open(
                keys=[again.key] if again else [],
                args=[
                    job.job_id,
                    request.type,
                    job.submitter,
                    self._caps.per_submitter,
                    self._caps.total,
                    again.body if again else "",
                    len(JOB_TYPES),
                    *JOB_TYPES,
                    *(part for field in fields.items() for part in field),
                ],
            )
        match cast(Literal["opened", "taken", "share", "full", "same", "other"], reply):
            case "opened":
                return job.accepted
            case "taken":
                raise ValueError(f"job id {job.job_id} is taken")
            case "share":
                raise TooManyWaiting(self._caps.per_submitter)
            case "full":
                raise QueueFull(self._caps.total)
            case "same" | "other":
                assert again
                return self.repeated(again) or self.open(job)

    def repeated(self, request: Repeatable) -> Accepted | None:
        """The job that this request has had before; None if it is new.

        Raises KeyUsedOtherwise.
        """
        with reaching_redis():
            known = cast(dict[str, str], self._redis.hgetall(request.key))
        if not known:
            return None
        if known["body"] != request.body:
            raise KeyUsedOtherwise
        return Accepted(
            job_id=known["job"],
            type=cast(JobType, known["type"]),
            model=known["model"],
            warnings=tuple(json.loads(known["warnings"])),
        )

    def get(self, job_id: str) -> JobStatus:
        """The job at this moment, its place in the queue included.

        Raises NoSuchJob or JobExpired.
        """
        with reaching_redis():
            found = cast(list[Any] | str | None, self._read(args=[job_id]))
        if not found:
            raise NoSuchJob(job_id)
        if isinstance(found, str):
            raise JobExpired(job_id)
        place, fields = found
        return status_of(job_id, record_of(fields), place)

    def watch(self, jobs: Mapping[str, int]) -> dict[str, Sight]:
        """Many jobs at this moment, with their previews, in one round trip.

        Args:
            jobs: for each, the `previews` that were last seen of it; 0: none. Whoever has seen the
                latest is not sent it again.

        Returns:
            What is seen of each; of those that expired or never were, nothing.
        """
        with reaching_redis():
            answered = cast(
                list[list[Any] | str | None],
                self._watch(args=[part for job in jobs.items() for part in job]) if jobs else [],
            )
        sights: dict[str, Sight] = {}
        for job_id, found in zip(jobs, answered, strict=True):
            if isinstance(found, list):
                place, fields, preview = found
                record = record_of(fields)
                sights[job_id] = Sight(
                    status=status_of(job_id, record, place),
                    previews=int(record.get("previews", 0)),
                    preview=Preview.model_validate_json(preview) if preview else None,
                )
        return sights

    def place(self, job_id: str) -> int | None:
        """Place in the queue of its type, 1 being next; None unless it waits. Raises NoSuchJob."""
        return self.get(job_id).place

    def cancel(self, job_id: str, *, by: str = ANYBODYS) -> JobState:
        """Cancel a waiting job at once; ask a running one to stop.

        Args:
            job_id: the job.
            by: who asks, as its submitter is known; ANYBODYS: who may cancel every job.

        Returns:
            CANCELLED, or the running state in which the job was found: it will end CANCELLED.

        Raises:
            NoSuchJob: there is none, or it is somebody else's: nobody learns which.
            JobExpired, JobAlreadyFinal.
        """
        state = self._end(job_id, by, forget=False)
        if state.final:
            raise JobAlreadyFinal(job_id, state)
        return JobState.CANCELLED if state is JobState.PENDING else state

    def delete(self, job_id: str, *, by: str = ANYBODYS) -> JobState:
        """Forget a successful job, its pictures with it; cancel one that has not ended.

        Returns and raises what `cancel` does, but SUCCESS means that the job is forgotten: its id
        is answered with JobExpired from now on, its pictures are among the remains.
        """
        state = self._end(job_id, by, forget=True)
        if state.final and state is not JobState.SUCCESS:
            raise JobAlreadyFinal(job_id, state)
        return JobState.CANCELLED if state is JobState.PENDING else state

    def _end(self, job_id: str, by: str, *, forget: bool) -> JobState:
        with reaching_redis():
            found = cast(
                str,
                self._cancel(args=[job_id, by, self._ttl, self._remembered, int(forget)]),
            )
        if found == "none":
            raise NoSuchJob(job_id)
        if found == "gone":
            raise JobExpired(job_id)
        return JobState(found)

    def recent(self, count: int = 10) -> tuple[str, ...]:
        """The ids of the latest successful jobs whose records still stand, newest first."""
        with reaching_redis():
            ids = cast(list[str], self._redis.lrange(keys.RECENT, 0, KEPT_RECENT - 1))
            pipe = self._redis.pipeline(transaction=False)
            for job_id in ids:
                pipe.exists(keys.job(job_id))
            standing = pipe.execute() if ids else []
        return tuple(job_id for job_id, stands in zip(ids, standing, strict=True) if stands)[:count]

    def waiting(self, job_type: JobType) -> int:
        """How many jobs of a type wait."""
        with reaching_redis():
            return cast(int, self._redis.zcard(keys.queue(job_type)))
