"""The names of all that jobs keep in Redis, for Python and, by the same names, for the Lua scripts.

A name that ends in a colon is completed by an id, a job type or a submitter (a digest of an API
key); nothing that a client sent becomes part of a name. `api.rate_limit` has a prefix of its own.
"""

PREFIX = "sdjobs:"

JOB = PREFIX + "job:"
"""+ id: a hash, the record of a job; `jobs.records.record_fields` lists its fields."""
TOMBSTONE = PREFIX + "tombstone:"
"""+ id: the submitter of a job, kept for some time after its record has expired."""
PREVIEW = PREFIX + "preview:"
"""+ id: the latest preview of a running job, as JSON."""
IDEMPOTENCY = PREFIX + "idempotency:"
"""+ submitter, digest of an idempotency key: a hash, the job that a request has started."""

QUEUE = PREFIX + "fair-queue:"
"""+ type: a sorted set of the places of the waiting jobs, in the order in which they are taken
(`jobs.records.fair_queue`). + type, submitter: a submitter's own waiting jobs, by priority and
order of arrival."""
IDLE = PREFIX + "idle-turn:"
"""+ type: a sorted set of the submitters without waiting jobs, by the start tag of their next."""
TURN = PREFIX + "turn:"
"""+ type: the start tag of the job that was taken last."""
OLD_QUEUE, OLD_ACTIVE = PREFIX + "queue:", PREFIX + "active:"
OLD_IDLE, OLD_VIRTUAL_TIME = PREFIX + "idle:", PREFIX + "virtual-time:"
"""The same of the version before, whose processes may run beside this one's during an update."""
POSTPONED = PREFIX + "postponed:"
"""+ type: a sorted set of the jobs that wait for a pause to end, by the time at which it does
(`jobs.records.postponed`). + type, submitter: a submitter's own."""
USER_TURNS = PREFIX + "user-turns:"
"""+ type, submitter, priority: a sorted set, the turn of the next job of each of the submitter's
users, and the current turn (`jobs.records.user_turns`); expires when no job is submitted or
taken."""
ARRIVALS = PREFIX + "arrivals"
"""How many jobs have been submitted: the order of arrival of the latest."""

KEY_BYTES = PREFIX + "key-bytes:"
"""+ submitter: a hash, how many bytes each of its unended jobs holds, and the sums `unended`,
`ended` and `forgotten` (`jobs.records.key_budget`)."""
ENDED_JOBS = PREFIX + "ended-jobs:"
"""+ submitter: a sorted set of its ended jobs, by the sum `ended` with each of them."""

LEASES = PREFIX + "leases"
"""A sorted set of the running jobs, by the time at which their lease expires."""
REAPER = PREFIX + "reaper"
"""A hash: `last`, when expired leases were last looked for; `from`, since when they may be taken
(`jobs.records.lease_clock`)."""
RECENT = PREFIX + "recent"
"""A list of the latest successful jobs, the newest first."""
RECENT_OF = PREFIX + "recent-of:"
"""+ submitter: the same of its own jobs."""
ENDED = PREFIX + "ended"
"""A hash: for each final state, how many jobs have ended in it."""

PICTURES = PREFIX + "pictures:"
"""+ SAVED or TRANSIENT: a sorted set of the jobs with stored pictures, by the time they ended."""
PICTURE_NAMES = PREFIX + "picture-names"
PICTURE_BYTES = PREFIX + "picture-bytes"
"""Hashes: for each of these jobs, the names of its pictures as JSON, and their size in bytes."""
PICTURE_BYTES_TOTAL = PREFIX + "picture-bytes-total"
DELETIONS = PREFIX + "deletions"
"""A hash: for each job with files to delete, the names of its pictures among them, as JSON."""
ORPHANS = PREFIX + "orphans"
"""A sorted set of the files that belong to no living job, by the time each was first seen."""
SWEEP_LOCK = PREFIX + "sweep-lock"

DELIVERIES = PREFIX + "deliveries"
"""A sorted set of the new webhook messages, by the time at which each was written."""
LANES = PREFIX + "delivery-lanes"
"""A sorted set of the lanes with messages, by the time at which each is to be served next."""
LANE = PREFIX + "delivery-lane:"
"""+ lane (a digest of a receiver's host, and a number): a sorted set of its messages, by the time
at which each is due."""
LANE_BUSY = PREFIX + "delivery-busy:"
"""+ lane: exists while a message of the lane is being delivered."""
DELIVERY = PREFIX + "delivery:"
"""+ id, event: a hash, one of these messages."""

WORKER = PREFIX + "worker:"
"""+ worker id: its announcement as JSON; expires when the worker no longer announces itself."""
WORKERS = PREFIX + "workers"
"""A set of the ids of the workers that have announced themselves."""
LAST_SERVED = PREFIX + "last-served"
"""The latest announcement of any worker."""
EXPECTED = PREFIX + "expected:"
"""+ type: exists while a worker has served the type and none has signed off since."""
RESENT = PREFIX + "resent:"
"""+ type: exists for a while after messages for waiting jobs have been sent again."""

UNLOADINGS = PREFIX + "unloadings"
"""How many times the workers were asked to drop the models that no job uses."""
OPTIONS = PREFIX + "options:"
"""+ submitter: a hash, its options: for each name its value as JSON (`jobs.client_options`)."""

SAVED, TRANSIENT = "saved", "transient"
"""How pictures are kept: under their `outdir`, or to be fetched soon, with `skip_save`."""

LUA = "".join(
    f"local {name} = '{value}'\n" for name, value in [*globals().items()] if name.isupper()
)
"""The constants above, for the head of a script."""


def job(job_id: str) -> str:
    """The record of a job."""
    return JOB + job_id


def key_bytes(submitter: str) -> str:
    """How many bytes a submitter's jobs hold."""
    return KEY_BYTES + submitter


def tombstone(job_id: str) -> str:
    """What is left of a record that has expired."""
    return TOMBSTONE + job_id


def recent_of(submitter: str) -> str:
    """The latest successful jobs of a submitter."""
    return RECENT_OF + submitter


def preview(job_id: str) -> str:
    """The latest preview of a running job."""
    return PREVIEW + job_id


def idempotency(submitter: str, digest: str) -> str:
    """The job of an idempotency key, by the digest of the key."""
    return f"{IDEMPOTENCY}{submitter}:{digest}"


def queue(job_type: str) -> str:
    """The places of the waiting jobs of a type."""
    return QUEUE + job_type


def submitter_queue(job_type: str, submitter: str) -> str:
    """The waiting jobs of a type that one submitter has sent."""
    return f"{QUEUE}{job_type}:{submitter}"


def postponed(job_type: str) -> str:
    """The jobs of a type that wait for a pause to end."""
    return POSTPONED + job_type


def submitter_postponed(job_type: str, submitter: str) -> str:
    """The same, of one submitter."""
    return f"{POSTPONED}{job_type}:{submitter}"


def options(submitter: str) -> str:
    """The options of a submitter."""
    return OPTIONS + submitter


def expected(job_type: str) -> str:
    """Exists while a type should be served."""
    return EXPECTED + job_type


def job_of(place: str) -> str:
    """The job that has a place in the queue of its type."""
    return place.split(":")[2]
