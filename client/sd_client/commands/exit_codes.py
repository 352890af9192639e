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
    """The outcomes that a script can distinguish."""

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
    """The code of an error: that of the first matching class."""
    return next(
        (code for error_type, code in _CODES if isinstance(error, error_type)), ExitCode.UNEXPECTED
    )
