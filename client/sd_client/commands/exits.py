"""The exit codes of `sd`."""

from enum import IntEnum

from sd_client.errors import (
    BadArgument,
    ClientError,
    JobCancelled,
    JobFailed,
    Refused,
    ServiceUnavailable,
    Unauthorized,
)


class ExitCode(IntEnum):
    """What a script can tell apart."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    FAILED = 3
    CANCELLED = 4
    UNAVAILABLE = 5
    UNAUTHORIZED = 6
    INTERRUPTED = 130


_CODES: tuple[tuple[type[ClientError], ExitCode], ...] = (
    (BadArgument, ExitCode.USAGE),
    (Unauthorized, ExitCode.UNAUTHORIZED),
    (Refused, ExitCode.USAGE),
    (JobFailed, ExitCode.FAILED),
    (JobCancelled, ExitCode.CANCELLED),
    (ServiceUnavailable, ExitCode.UNAVAILABLE),
)


def exit_code(error: ClientError) -> ExitCode:
    """The code of an error; the first kind that it is of."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), ExitCode.UNEXPECTED)
