"""The record of a job in Redis, from the client's side: open it, read it, cancel it.

The worker's side is `jobs.claims`; the atomic steps of both are in `jobs.steps`.
"""

import json
import uuid
from dataclasses import dataclass
from typing import Any, Literal, cast

from redis import Redis

from jobs import keys, steps
from jobs.connection import reaching_redis
from jobs.errors import JobAlreadyFinal, NoSuchJob, QueueFull, TooManyWaiting
from jobs.limits import WaitingCaps
from jobs.names import JOB_TYPES, JobType
from jobs.request import PROMPTS, Request
from jobs.status import Failure, JobState, JobStatus, Progress, Result

KEPT_RECENT = 100


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
    """

    job_id: str
    request: Request
    model: str
    warnings: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    submitter: str = ""

    @property
    def stored_request(self) -> dict[str, Any]:
        """The request as its record keeps it."""
        prompts = {PROMPTS: list(self.prompts)} if self.prompts else {}
        return self.request.stored() | prompts


class JobRecords:
    """The records as API and tools see them. Safe to share between threads.

    Every method raises RecordsUnavailable when Redis does not answer or refuses to write.

    Args:
        redis: the Redis of the records.
        result_ttl_seconds: how long the record of a cancelled job is kept.
        caps: how many jobs may wait.
    """

    def __init__(
        self, redis: Redis, *, result_ttl_seconds: int, caps: WaitingCaps | None = None
    ) -> None:
        self._redis = redis
        self._ttl = result_ttl_seconds
        self._caps = caps or WaitingCaps()
        self._open = redis.register_script(steps.OPEN)
        self._cancel = redis.register_script(steps.CANCEL)

    def open(self, job: NewJob) -> None:
        """Write the record of a new job and put it at the end of the queue of its type.

        Raises TooManyWaiting or QueueFull; then nothing was written.
        """
        request = job.request
        fields = {
            "kind": request.kind,
            "type": request.type,
            "request": json.dumps(job.stored_request),
            "model": job.model,
            "warnings": json.dumps(job.warnings),
            "submitter": job.submitter,
        }
        with reaching_redis():
            reply = self._open(
                keys=[
                    keys.job(job.job_id),
                    keys.queue(request.type),
                    keys.ORDER,
                    *map(keys.queue, JOB_TYPES),
                ],
                args=[
                    job.job_id,
                    keys.JOB,
                    job.submitter,
                    self._caps.per_submitter,
                    self._caps.in_all,
                    *(part for field in fields.items() for part in field),
                ],
            )
        match cast(Literal["opened", "taken", "share", "full"], reply):
            case "opened":
                return
            case "taken":
                raise ValueError(f"job id {job.job_id} is taken")
            case "share":
                raise TooManyWaiting(self._caps.per_submitter)
            case "full":
                raise QueueFull(self._caps.in_all)

    def get(self, job_id: str) -> JobStatus:
        """The job at this moment, its place in the queue included. Raises NoSuchJob."""
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=True)
            pipe.hgetall(keys.job(job_id))
            for queue in ("standard", "optimized"):
                pipe.zrank(keys.queue(queue), job_id)
            record, *ranks = pipe.execute()
        if not record:
            raise NoSuchJob(job_id)
        rank = next((rank for rank in ranks if rank is not None), None)
        return _status(job_id, record, rank)

    def place(self, job_id: str) -> int | None:
        """Place in the queue of its type, 1 being next; None unless it waits. Raises NoSuchJob."""
        return self.get(job_id).place

    def cancel(self, job_id: str) -> JobState:
        """Cancel a waiting job at once; ask a running one to stop.

        Returns:
            CANCELLED, or the running state in which the job was found: it will end CANCELLED.

        Raises:
            NoSuchJob, JobAlreadyFinal.
        """
        job_type = self.get(job_id).type
        with reaching_redis():
            found = cast(
                str,
                self._cancel(
                    keys=[keys.job(job_id), keys.LEASES, keys.queue(job_type)],
                    args=[job_id, self._ttl],
                ),
            )
        if found == "none":
            raise NoSuchJob(job_id)
        state = JobState(found)
        if state.final:
            raise JobAlreadyFinal(job_id, state)
        return JobState.CANCELLED if state is JobState.PENDING else state

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


def _status(job_id: str, record: dict[str, str], rank: int | None) -> JobStatus:
    def of_json(field: str, empty: Any) -> Any:
        return json.loads(record[field]) if field in record else empty

    state = JobState(record["state"])
    waits = state is JobState.PENDING and rank is not None
    progress = of_json("progress", None)
    result = of_json("result", None)
    failure = of_json("failure", None)
    return JobStatus.model_validate(
        {
            "job_id": job_id,
            "kind": record["kind"],
            "type": record["type"],
            "state": state,
            "place": rank + 1 if waits and rank is not None else None,
            "progress": progress and Progress.model_validate(progress),
            "fraction": float(record["fraction"]),
            "loading": of_json("loading", None) if state is JobState.LOADING else None,
            "request": of_json("request", {}),
            "model": record["model"],
            "warnings": tuple(of_json("warnings", ())),
            "result": result and Result.model_validate(result),
            "failure": failure and Failure.model_validate(failure),
            "submitter": record["submitter"],
            "cancel_asked": record.get("cancel") == "1",
            "attempts": int(record["attempts"]),
            "submitted": float(record["submitted"]),
            "started": float(record["started"]) if "started" in record else None,
            "finished": float(record["finished"]) if "finished" in record else None,
        }
    )
