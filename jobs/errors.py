"""The errors of requests, jobs, records and the store."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A problem of one field of a request, and what would be valid.

    `value` is short and safe to show: never a key or a picture.
    """

    field: str
    code: str
    value: Any
    problem: str
    expected: str


class JobsError(Exception):
    """Root of this package's errors.

    JobsError
    ├── InvalidRequest         the body is invalid; has all faults
    ├── WildcardError          the wildcards of a prompt cannot be drawn
    ├── NoSuchJob              there is no record and no tombstone of this id
    ├── JobExpired             the record and the pictures were deleted
    ├── JobAlreadyFinal        an ended job cannot be cancelled
    ├── IdempotencyKeyReused   an idempotency key was used before, with another body
    ├── TooManyWaiting         the submitter's waiting jobs reach the cap
    ├── QueueFull              all waiting jobs together reach the cap
    ├── TooManyBytes           the submitter's unended jobs hold as much memory as they may
    ├── OptionsTooLarge        the options of a submitter would hold more than they may
    ├── WebhookRefused         a webhook's URL is not allowed
    ├── RecordsUnavailable     Redis does not answer, or refuses to write
    │   └── RecordsFull        the memory of Redis is full
    ├── UnreadableRecord       a record was written by a later version, or is damaged
    └── StoreError
        ├── NoSuchPicture      nothing is stored under that name
        ├── UnsafeName         a name that leads out of the output root
        └── StoreFull          no space is left, or writing is not permitted
    """


class InvalidRequest(JobsError):
    """A request with at least one fault."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.problem}" for fault in faults))
        self.faults = faults


class WildcardError(JobsError):
    """The wildcards of a prompt cannot be drawn; the attributes are those of the field's fault."""

    def __init__(self, *, code: str, value: str, problem: str, expected: str) -> None:
        super().__init__(problem)
        self.code = code
        self.value = value
        self.problem = problem
        self.expected = expected

    def fault(self, field: str) -> Fault:
        """As a fault of the field that has the text."""
        return Fault(
            field=field,
            code=self.code,
            value=self.value,
            problem=self.problem,
            expected=self.expected,
        )


class NoSuchJob(JobsError):
    """There is no record and no tombstone of this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id!r}")
        self.job_id = job_id


class JobExpired(JobsError):
    """The record of this id has expired or was deleted, and its pictures with it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} has expired")
        self.job_id = job_id


class IdempotencyKeyReused(JobsError):
    """The idempotency key, which the client has sent under `name`, belongs to another request."""

    def __init__(self, name: str = "Idempotency-Key") -> None:
        super().__init__(
            f"this {name} was used before, with another body: send the same body, or another {name}"
        )


class JobAlreadyFinal(JobsError):
    """The job has ended; `state` says how."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"job {job_id} has already ended: {state}")
        self.job_id = job_id
        self.state = state


class TooManyWaiting(JobsError):
    """The waiting jobs of one submitter reach the cap."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} jobs of this key wait already: wait until some of them have started"
        )
        self.most = most


class QueueFull(JobsError):
    """The waiting jobs of all submitters and types reach the cap."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the queue is full: {most} jobs wait already")
        self.most = most


class TooManyBytes(JobsError):
    """The unended jobs of one submitter would hold more memory than they may."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"the unended jobs of this key would hold more than {most} bytes with this one "
            "(MAX_BYTES_PER_KEY): wait until some of them have ended, cancel some, or send shorter "
            "prompts"
        )
        self.most = most


class OptionsTooLarge(JobsError):
    """The options of one submitter would hold more bytes than they may."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"the options of this key would hold more than {most} bytes: set fewer or shorter ones"
        )
        self.most = most


class WebhookRefused(JobsError):
    """The URL of a webhook is not allowed: `problem` says why, `expected` which is."""

    def __init__(self, problem: str, expected: str) -> None:
        super().__init__(f"the webhook {problem}; expected: {expected}")
        self.problem = problem
        self.expected = expected


class RecordsUnavailable(JobsError):
    """Redis cannot be reached, does not answer in time, or refuses to write."""


class RecordsFull(RecordsUnavailable):
    """The memory of Redis is full (`maxmemory`): it opens no job until others have expired."""


class UnreadableRecord(JobsError):
    """The record of this job exists, but this process cannot read it."""

    def __init__(self, job_id: str, problem: str) -> None:
        super().__init__(f"the record of job {job_id} cannot be read: {problem}")
        self.job_id = job_id


class StoreError(JobsError):
    """A picture could not be stored or read."""


class NoSuchPicture(StoreError):
    """Nothing is stored under this name."""


class UnsafeName(StoreError):
    """The name points outside the output root."""


class StoreFull(StoreError):
    """The store has no space left, or must not be written."""
