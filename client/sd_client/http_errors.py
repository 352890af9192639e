"""Maps unsuccessful HTTP answers to exceptions."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import httpx

from sd_client.errors import (
    BadRequest,
    ClientError,
    Conflict,
    Fault,
    JobExpired,
    NoSuchJob,
    Refused,
    ServiceUnavailable,
    TooManyRequests,
    Unauthorized,
    UnexpectedAnswer,
)

TRANSIENT = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""Status codes after which a retry can succeed."""
_BAD_REQUEST = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
_REFUSED: dict[int, type[Refused]] = {
    HTTPStatus.NOT_FOUND: NoSuchJob,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: JobExpired,
}


def error_from(response: httpx.Response, *, own_key: bool) -> ClientError:
    """The exception for an unsuccessful answer.

    Args:
        response: an answer that is not 2xx.
        own_key: whether the caller gave a key; otherwise the client sent the well-known one.
    """
    try:
        answer = response.json()
        message = str(answer["error"])
        details = tuple(
            Fault(**{name: fault.get(name, "") for name in Fault.__dataclass_fields__})
            for fault in answer.get("details", [])
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return _foreign(response)
    match response.status_code:
        case HTTPStatus.UNAUTHORIZED:
            key = "this key" if own_key else "the well-known key, and no other was given"
            return Unauthorized(
                f"{_service(response)} does not accept {key}: set SD_API_KEY, or give --key "
                "(in Python: api_key=...)"
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            return TooManyRequests(message, retry_after(response))
        case code if code in TRANSIENT:
            return ServiceUnavailable(message, retry_after(response))
        case code if code in _REFUSED:
            return _REFUSED[code](message)
        case code if code in _BAD_REQUEST:
            return BadRequest(message, details)
        case code:
            return UnexpectedAnswer(f"{_service(response)} answered {code}: {message}")


def unexpected_answer(response: httpx.Response) -> UnexpectedAnswer:
    """The exception for an answer that is not in this service's format."""
    return UnexpectedAnswer(
        f"{response.url.copy_with(query=None)} answered {response.status_code}, but not in the "
        "service's format: check the address"
    )


def retry_after(response: httpx.Response) -> float | None:
    """The seconds of the header Retry-After, which may be a date; None without one."""
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _foreign(response: httpx.Response) -> ClientError:
    """The exception for an answer of a proxy, or of another service."""
    if response.status_code not in TRANSIENT:
        return unexpected_answer(response)
    reason = f"{response.status_code} {response.reason_phrase}".strip()
    message = f"{_service(response)} answered {reason}: try again later"
    return ServiceUnavailable(message, retry_after(response))


def _service(response: httpx.Response) -> str:
    return f"{response.url.scheme}://{response.url.netloc.decode()}"
