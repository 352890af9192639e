"""One line in the log for each request that is refused: what was asked, by whom, and why not."""

import re
from http import HTTPStatus

import structlog
from flask import g, request

from api import errors as api_errors
from api.auth import Caller
from jobs.errors import InvalidRequest

log = structlog.get_logger(__name__)

_MOST_FIELDS = 5
_MOST_PATH = 200
_PLAIN = re.compile(r"[\w.\[\]-]{1,60}", re.ASCII)
"""A field's name. What else a client writes as a name may be a text that is logged nowhere."""
_NO_PLACE = (api_errors.NoPlaceToWait, api_errors.NoShareToWait)


def note_caller(caller: Caller) -> Caller:
    """Keep who sends the current request, for the line about its refusal. Returns the caller."""
    g.caller = caller
    return caller


def log_refusal(error: Exception, status: int) -> None:
    """Log that the current request was refused.

    Nothing is logged of an accepted job that ended without pictures, or whose client has gone:
    its own lines tell it.

    Args:
        error: why; of an invalid request the names of the first fields are logged, no values.
        status: of the answer.
    """
    accepted = isinstance(error, api_errors.NoImages) and not isinstance(error, _NO_PLACE)
    if status < HTTPStatus.BAD_REQUEST or status == HTTPStatus.INTERNAL_SERVER_ERROR or accepted:
        return
    caller: Caller | None = g.get("caller")
    facts: dict[str, object] = {
        "method": request.method,
        "path": request.path[:_MOST_PATH],
        "status": status,
        "code": _code_of(error),
        "submitter": caller.submitter if caller else None,
    }
    if isinstance(error, InvalidRequest):
        shown = [each.field if _PLAIN.fullmatch(each.field) else "?" for each in error.faults]
        facts |= {"fields": ",".join(shown[:_MOST_FIELDS]), "faults": len(shown)}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("request refused", **facts, reason=str(error))
    else:
        log.info("request refused", **facts)


def _code_of(error: Exception) -> str:
    """The code of the first fault, else the name of the error, such as `too_many_requests`."""
    if isinstance(error, InvalidRequest):
        return error.faults[0].code
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
