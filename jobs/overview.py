"""Many jobs at a look: those under way and those that are finished."""

from typing import cast

from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.names import JOB_TYPES
from jobs.record import ANYBODYS, KEPT_RECENT, JobRecords
from jobs.status import JobState, JobStatus

MOST_WAITING = 50
"""Of each type; whoever has more in line looks at the first of them."""


class Overview:
    """What somebody may see of the jobs. Raises RecordsUnavailable as the records do."""

    def __init__(self, redis: Redis, records: JobRecords) -> None:
        self._redis = redis
        self._records = records

    def under_way(self, *, of: str) -> tuple[JobStatus, ...]:
        """The jobs of a submitter, or of ANYBODYS, that run or wait: the foremost first.

        Other people's are left out: what they have asked for is seen when it is finished.
        """
        with reaching_redis():
            running = cast(list[str], self._redis.zrange(keys.LEASES, 0, -1))
            waiting = [job_id for job_type in JOB_TYPES for job_id in self._line(job_type, of)]
        # one that left the line between the two looks is found twice
        found = self._now(tuple(dict.fromkeys(running + waiting)))
        return tuple(
            sorted(
                (
                    each
                    for each in found
                    if not each.state.final and of in (each.submitter, ANYBODYS)
                ),
                key=lambda each: (each.state is JobState.PENDING, each.place or 0, each.submitted),
            )
        )

    def finished(self, *, of: str, of_all: int) -> tuple[JobStatus, ...]:
        """The successful jobs that are remembered, newest first.

        Args:
            of: whose are all told; ANYBODYS: everybody's.
            of_all: how many of the newest are told, whoever's they are.
        """
        standing = self._now(self._records.recent(KEPT_RECENT))
        return tuple(
            each
            for place, each in enumerate(standing)
            if place < of_all or of in (each.submitter, ANYBODYS)
        )

    def _now(self, job_ids: tuple[str, ...]) -> tuple[JobStatus, ...]:
        """The jobs as they are, in this order; those that are no more are left out."""
        seen = self._records.watch(dict.fromkeys(job_ids, 0))
        return tuple(sight.status for sight in seen.values())

    def _line(self, job_type: str, of: str) -> list[str]:
        line = keys.queue(job_type) if of == ANYBODYS else keys.own_queue(job_type, of)
        return cast(list[str], self._redis.zrange(line, 0, MOST_WAITING - 1))
