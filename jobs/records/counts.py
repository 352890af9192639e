"""How many jobs wait, run and have ended, for monitoring."""

from dataclasses import dataclass
from typing import cast

from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.names import JOB_TYPES, JobType
from jobs.status import JobState


@dataclass(frozen=True)
class Counts:
    """All jobs of all workers, at one moment.

    Attributes:
        waiting: by type, postponed ones among them.
        running: claimed and not yet ended.
        ended: by final state, of all time. The script that ends a job counts it, so a job is
            counted once, however many attempts it took.
    """

    waiting: dict[JobType, int]
    running: int
    ended: dict[JobState, int]


def count_jobs(redis: Redis) -> Counts:
    """Read the counts. Raises RecordsUnavailable."""
    with reaching_redis():
        pipe = redis.pipeline(transaction=True)
        for job_type in JOB_TYPES:
            pipe.zcard(keys.queue(job_type))
            pipe.zcard(keys.postponed(job_type))
        pipe.zcard(keys.LEASES)
        pipe.hgetall(keys.ENDED)
        *waiting, running, ended = pipe.execute()
    queued, postponed = waiting[::2], waiting[1::2]
    counted = cast(dict[str, str], ended)
    return Counts(
        waiting={
            job_type: in_queue + pausing
            for job_type, in_queue, pausing in zip(JOB_TYPES, queued, postponed, strict=True)
        },
        running=running,
        ended={state: int(counted.get(state, 0)) for state in JobState if state.final},
    )
