"""Lists of jobs: those under way and those that have succeeded."""

import math
from typing import cast

from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.names import JOB_TYPES
from jobs.records.record import ANY_SUBMITTER, MAX_RECENT, JobRecords
from jobs.status import JobState, JobStatus

MAX_WAITING = 50
"""How many waiting jobs of each type are usually listed: the first ones."""


class Overview:
    """The jobs that a caller may see. Every method raises RecordsUnavailable."""

    def __init__(self, redis: Redis, records: JobRecords) -> None:
        self._redis = redis
        self._records = records

    def under_way(self, *, of: str, most: int = MAX_WAITING) -> tuple[JobStatus, ...]:
        """The running jobs of a submitter, or of ANY_SUBMITTER, then the waiting ones in order.

        Args:
            most: how many waiting jobs of each type; 0: all.
        """
        with reaching_redis():
            running = cast(list[str], self._redis.zrange(keys.LEASES, 0, -1))
            waiting = [
                job_id for job_type in JOB_TYPES for job_id in self._waiting(job_type, of, most)
            ]
        # a job that was claimed between the two reads is found twice
        found = self._now(tuple(dict.fromkeys(running + waiting)))
        return tuple(
            sorted(
                (
                    each
                    for each in found
                    if not each.state.final and of in (each.submitter, ANY_SUBMITTER)
                ),
                key=lambda each: (
                    each.state is JobState.PENDING,
                    each.queue_position or math.inf,
                    each.submitted,
                ),
            )
        )

    def finished(self, *, of: str, of_all: int) -> tuple[JobStatus, ...]:
        """The latest successful jobs, newest first.

        Args:
            of: the submitter whose latest MAX_RECENT jobs are listed, or ANY_SUBMITTER.
            of_all: how many of the newest jobs of all submitters are listed.
        """
        latest = self._records.recent(MAX_RECENT)  # the version before kept no lists by submitter
        own = self._records.recent(MAX_RECENT, of=of)
        listed = [
            job
            for job in self._now(tuple(dict.fromkeys((*latest, *own))))
            if job.job_id in latest[:of_all] or of in (job.submitter, ANY_SUBMITTER)
        ]
        return tuple(sorted(listed, key=lambda job: job.finished or math.inf, reverse=True))

    def _now(self, job_ids: tuple[str, ...]) -> tuple[JobStatus, ...]:
        """The status of each job that has a record, in this order."""
        snapshots = self._records.snapshots(dict.fromkeys(job_ids, 0))
        return tuple(snapshot.status for snapshot in snapshots.values())

    def _waiting(self, job_type: str, of: str, most: int) -> list[str]:
        """The first jobs in the queue, then those that are postponed."""
        everybody = of == ANY_SUBMITTER
        queue = keys.queue(job_type) if everybody else keys.submitter_queue(job_type, of)
        found = cast(list[str], self._redis.zrange(queue, 0, most - 1))
        queued = [keys.job_of(place) for place in found] if everybody else found
        pausing = keys.postponed(job_type) if everybody else keys.submitter_postponed(job_type, of)
        return queued + cast(list[str], self._redis.zrange(pausing, 0, most - 1))
