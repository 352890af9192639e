"""The exceptions of the client. Their messages say what to do."""

from dataclasses import dataclass
from typing import Any


class ClientError(Exception):
    """The base class.

    ClientError
    ├── BadArgument            an invalid argument; the client sent nothing
    ├── Refused                the service refused the request; a retry would be refused too
    │   ├── BadRequest         the body is invalid; `details` names the fields
    │   ├── Unauthorized       the service does not accept the key
    │   ├── NoSuchJob          unknown job or picture, or the job of another key
    │   ├── JobExpired         the service has deleted the record or the pictures
    │   └── Conflict           the job has ended, or the idempotency key has another body
    ├── ServiceUnavailable     no connection, or the service cannot accept this request now
    │   └── TooManyRequests    the key exceeds its rate limit
    ├── UnexpectedAnswer       not an answer of this service, or a bug of the service
    ├── JobFailed              the job failed; `code` is the reason, for programs
    ├── JobCancelled           the job was cancelled
    └── WaitTimeout            the job has not ended in time and continues
    """


class BadArgument(ClientError, ValueError):
    """An argument is invalid; the client sent nothing."""


@dataclass(frozen=True)
class Fault:
    """One invalid field, as the service describes it.

    Attributes:
        field: name of the field.
        value: the sent value, shortened.
        problem: why it is invalid.
        expected: which values are valid.
        code: the problem as a stable code, for programs.
    """

    field: str
    value: Any
    problem: str
    expected: str
    code: str


class Refused(ClientError):
    """The service refused the request; a retry would be refused too."""


class BadRequest(Refused):
    """The request is invalid; `details` lists every fault."""

    def __init__(self, message: str, details: tuple[Fault, ...] = ()) -> None:
        super().__init__(message)
        self.details = details


class Unauthorized(Refused):
    """The service does not accept the API key."""


class NoSuchJob(Refused):
    """There is no such job or picture, or the job belongs to another key."""


class JobExpired(Refused):
    """The service has deleted the job or its pictures."""


class Conflict(Refused):
    """The job has already ended, or the idempotency key was used with another body."""


class ServiceUnavailable(ClientError):
    """No connection, or the service cannot accept this now; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyRequests(ServiceUnavailable):
    """The key exceeds its rate limit or its limit of waiting jobs."""


class UnexpectedAnswer(ClientError):
    """Not an answer of this service, or a bug of the service."""


class JobFailed(ClientError):
    """The job failed; `code` is the reason, for programs."""

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
    """The job has not ended in time and continues: wait again, or cancel it."""

    def __init__(self, job_id: str, seconds: float) -> None:
        super().__init__(f"job {job_id} has not ended in {seconds:g} seconds; it continues")
        self.job_id = job_id
