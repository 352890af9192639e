"""The names of everything kept in Redis. None of them is made from what a user sent."""

PREFIX = "sdjobs:"
JOB = PREFIX + "job:"
LEASES = PREFIX + "leases"
RECENT = PREFIX + "recent"
ORDER = PREFIX + "order"
WORKER = PREFIX + "worker:"
WORKERS = PREFIX + "workers"
LAST_SERVED = PREFIX + "served"
ENDED = PREFIX + "ended"


def job(job_id: str) -> str:
    """The hash that holds a job's record."""
    return JOB + job_id


def queue(job_type: str) -> str:
    """The sorted set of the waiting jobs of a type, first come first."""
    return f"{PREFIX}queue:{job_type}"


def rescue(job_type: str) -> str:
    """Present while the waiting jobs of a type have just been woken again."""
    return f"{PREFIX}rescue:{job_type}"


def expected(job_type: str) -> str:
    """Present while a type is to be served: a worker announced it, and none has signed off."""
    return f"{PREFIX}expected:{job_type}"
