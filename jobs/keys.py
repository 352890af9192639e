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
"""A hash: how many jobs have ended in each state."""
REMAINS = PREFIX + "remains"
"""A hash of the jobs whose files are to be deleted: id -> the names of their pictures."""
SAVED = PREFIX + "pictures:saved"
TRANSIENT = PREFIX + "pictures:transient"
"""Sorted sets of the jobs whose pictures are stored, the longest ago finished first."""
PICTURE_NAMES = PREFIX + "pictures:names"
PICTURE_BYTES = PREFIX + "pictures:bytes"
BYTES_IN_ALL = PREFIX + "pictures:all"
STRAYS = PREFIX + "strays"
"""A sorted set of files that no job claims, by the time each was first seen."""
SWEEPING = PREFIX + "sweeping"
"""The lock of whoever sweeps."""
DELIVERIES = PREFIX + "deliveries"
"""A sorted set of the webhook messages not yet delivered, by the time each is due."""
DELIVERY = PREFIX + "delivery:"


def job(job_id: str) -> str:
    """The hash that holds a job's record."""
    return JOB + job_id


def gone(job_id: str) -> str:
    """What is left of a record when it has expired: whose it was."""
    return f"{PREFIX}gone:{job_id}"


def preview(job_id: str) -> str:
    """What a running job looks like so far."""
    return f"{PREFIX}preview:{job_id}"


def same(submitter: str, digest: str) -> str:
    """The job of an idempotency key, by the digest of the key."""
    return f"{PREFIX}same:{submitter}:{digest}"


def queue(job_type: str) -> str:
    """The sorted set of the waiting jobs of a type, in the order they came."""
    return f"{PREFIX}queue:{job_type}"


def own_queue(job_type: str, submitter: str) -> str:
    """Those of them that one submitter has sent, the first to be drawn first."""
    return f"{PREFIX}queue:{job_type}:{submitter}"


def rescue(job_type: str) -> str:
    """Present while the waiting jobs of a type have just been woken again."""
    return f"{PREFIX}rescue:{job_type}"


def expected(job_type: str) -> str:
    """Present while a type is to be served: a worker announced it, and none has signed off."""
    return f"{PREFIX}expected:{job_type}"
