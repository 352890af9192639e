"""Waiting for the end of a job, in one of the places for it."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from api.http.places import Places
from jobs.errors import RecordsUnavailable
from jobs.records.idempotency import SubmittedJob
from jobs.records.record import JobRecords
from jobs.status import JobStatus

SHORTEST_PAUSE = 0.01
LONGEST_PAUSE = 0.5


WaitEnd = Literal["ended", "unfinished", "no_slot", "no_share", "abandoned"]


@dataclass(frozen=True, kw_only=True)
class WaitResult:
    """How waiting for a job ended.

    Attributes:
        job: the accepted job.
        status: the status of the ended job; None if the wait ended before the job did.
        reason: `ended`; `unfinished`: the time is up; `no_slot`: as many callers wait already as
            may; `no_share`: so many of this key or address; `abandoned`: the caller went away.
    """

    job: SubmittedJob
    status: JobStatus | None = None
    reason: WaitEnd


class JobWait:
    """Safe to share between threads.

    Args:
        records: the records of the jobs.
        places: how many callers may wait at once.
        seconds: how long one waits at most.
    """

    def __init__(self, records: JobRecords, places: Places, seconds: float) -> None:
        self._records = records
        self._places = places
        self._seconds = seconds

    def until_ended(
        self, job: SubmittedJob, holders: tuple[str, ...], abandoned: Callable[[], bool]
    ) -> WaitResult:
        """Wait at the cost of the calling thread, also while Redis does not answer.

        Args:
            holders: for whom the place counts.
            abandoned: checked while waiting; once it returns True the wait ends.
        """
        if refusal := self._places.take(*holders):
            return WaitResult(job=job, reason="no_slot" if refusal == "full" else "no_share")
        try:
            return self._wait(job, abandoned)
        finally:
            self._places.free(*holders)

    def _wait(self, job: SubmittedJob, abandoned: Callable[[], bool]) -> WaitResult:
        deadline = time.monotonic() + self._seconds
        pause = SHORTEST_PAUSE
        while True:
            with suppress(RecordsUnavailable):
                if (status := self._records.get(job.job_id)).state.final:
                    return WaitResult(job=job, status=status, reason="ended")
            if abandoned():
                return WaitResult(job=job, reason="abandoned")
            if time.monotonic() > deadline:
                return WaitResult(job=job, reason="unfinished")
            time.sleep(pause)
            pause = min(pause * 1.2, LONGEST_PAUSE)
