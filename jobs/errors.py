"""What can go wrong between a request and its job."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing wrong with one field of a request, and what would be right.

    `value` is short and safe to show: never a key, never a picture.
    """

    field: str
    code: str
    value: Any
    problem: str
    expected: str


class JobsError(Exception):
    """Root of this package's errors.

    JobsError
    ├── InvalidRequest         the body cannot be honoured; carries every fault
    ├── NoSuchJob              the id was never given out, or so long ago that it is forgotten
    ├── JobExpired             the job was there; its record and its pictures are no longer
    ├── JobAlreadyFinal        an ended job cannot be cancelled
    ├── KeyUsedOtherwise       an idempotency key was used before, with another body
    ├── TooManyWaiting         the submitter has as many waiting jobs as it may
    ├── QueueFull              nobody may submit until some of the waiting jobs are drawn
    ├── WebhookRefused         a webhook's URL may not be called
    ├── RecordsUnavailable     Redis does not answer, or refuses to write
    └── StoreError
        ├── NoSuchPicture      nothing is stored under that name
        ├── UnsafeName         a name that would leave the output root
        └── StoreFull          no room for one more picture
    """


class InvalidRequest(JobsError):
    """A request with at least one fault."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.problem}" for fault in faults))
        self.faults = faults


class NoSuchJob(JobsError):
    """No record has this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id!r}")
        self.job_id = job_id


class JobExpired(JobsError):
    """The record of this id has expired or was deleted, its pictures with it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} has expired")
        self.job_id = job_id


class KeyUsedOtherwise(JobsError):
    """The idempotency key belongs to another request."""

    def __init__(self) -> None:
        super().__init__(
            "this Idempotency-Key was used before, with another body: send the same body, or "
            "another key"
        )


class JobAlreadyFinal(JobsError):
    """The job has ended; `state` says how."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"job {job_id} has already ended: {state}")
        self.job_id = job_id
        self.state = state


class TooManyWaiting(JobsError):
    """One submitter has reached its share of the queue."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} jobs of this key wait already: let some of them be drawn first")
        self.most = most


class QueueFull(JobsError):
    """The queues of all types together are full."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the queue is full: {most} jobs wait already")
        self.most = most


class WebhookRefused(JobsError):
    """The URL of a webhook may not be called: `problem` says why, `expected` what may."""

    def __init__(self, problem: str, expected: str) -> None:
        super().__init__(f"the webhook {problem}; expected: {expected}")
        self.problem = problem
        self.expected = expected


class RecordsUnavailable(JobsError):
    """Redis cannot be reached, does not answer in time, or refuses to write."""


class StoreError(JobsError):
    """A picture could not be stored or read."""


class NoSuchPicture(StoreError):
    """Nothing is stored under this name."""


class UnsafeName(StoreError):
    """The name points outside the output root."""


class StoreFull(StoreError):
    """The store has no room left, or may not be written."""
