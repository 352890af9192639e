"""What can go wrong, as one tree. Every message says what to do."""

from dataclasses import dataclass
from typing import Any


class ClientError(Exception):
    """The root.

    ClientError
    ├── BadArgument            found here, before anything was sent
    ├── Refused                the service answered, and will not do it
    │   ├── BadRequest         the body, or fields of it; `details` names them
    │   ├── Unauthorized       the key
    │   ├── NoSuchJob          never was, or belongs to another key
    │   ├── JobExpired         its record or its pictures are no longer kept
    │   └── Conflict           it has ended already, or the idempotency key belongs to another body
    ├── ServiceUnavailable     no connection, or it cannot take this now
    │   └── TooManyRequests    this key submits too often
    ├── UnexpectedAnswer       something else answered, or the service has a fault
    ├── JobFailed              the job ended without pictures; `code` says why, for programs
    ├── JobCancelled           somebody cancelled it
    └── WaitTimeout            it has not ended in the time it was given; it goes on
    """


class BadArgument(ClientError, ValueError):
    """An argument cannot be used; nothing was sent."""


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one field, in the service's words.

    Attributes:
        field: its name.
        value: what was sent, shortened.
        problem: what is wrong with it.
        expected: what would be right.
        code: the same, stable, for programs.
    """

    field: str
    value: Any
    problem: str
    expected: str
    code: str


class Refused(ClientError):
    """The service will not do it, and would not if asked again."""


class BadRequest(Refused):
    """The request is not as it should be; `details` holds every fault that was found."""

    def __init__(self, message: str, details: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.details = details


class Unauthorized(Refused):
    """The service does not know the key."""


class NoSuchJob(Refused):
    """There is no such job or picture, or it is not this key's to cancel."""


class JobExpired(Refused):
    """The job, or its pictures, are no longer kept."""


class Conflict(Refused):
    """The job has ended already, or the idempotency key belongs to another body."""


class ServiceUnavailable(ClientError):
    """No connection, or the service cannot take this now; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyRequests(ServiceUnavailable):
    """The key submits too often, or has too many jobs waiting."""


class UnexpectedAnswer(ClientError):
    """An answer that the service does not give, or gives when it has a fault itself."""


class JobFailed(ClientError):
    """The job ended without pictures."""

    def __init__(self, job_id: str, message: str, code: str) -> None:
        super().__init__(f"the job failed: {message}")
        self.job_id = job_id
        self.code = code


class JobCancelled(ClientError):
    """The job was cancelled."""

    def __init__(self, job_id: str) -> None:
        super().__init__("the job was cancelled")
        self.job_id = job_id


class WaitTimeout(ClientError):
    """The job has not ended in time. It goes on: wait again, or cancel it."""

    def __init__(self, job_id: str, seconds: float) -> None:
        super().__init__(f"job {job_id} has not ended in {seconds:g} seconds; it goes on")
        self.job_id = job_id
