"""Synchronous requests: the client waits for the end of its job, at the cost of one thread."""

import time

from api.desk import Desk
from jobs.errors import RecordsUnavailable
from jobs.status import JobStatus

SHORTEST_PAUSE = 0.01
LONGEST_PAUSE = 0.5


def wait_for_end(desk: Desk, job_id: str, seconds: float) -> JobStatus | None:
    """The status of the ended job; None if it has not ended in time or cannot be followed.

    The job does not depend on who waits for it, and goes on either way.
    """
    deadline = time.monotonic() + seconds
    pause = SHORTEST_PAUSE
    try:
        while not (status := desk.records.get(job_id)).state.final:
            if time.monotonic() > deadline:
                return None
            time.sleep(pause)
            pause = min(pause * 1.2, LONGEST_PAUSE)
    except RecordsUnavailable:
        return None
    return status
