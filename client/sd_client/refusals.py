"""From answers that are not well to errors: what each HTTP code means."""

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

PASSING = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""The codes after which it is worth asking again."""
_BAD = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
_REFUSALS: dict[int, type[Refused]] = {
    HTTPStatus.NOT_FOUND: NoSuchJob,
    HTTPStatus.CONFLICT: Conflict,
    HTTPStatus.GONE: JobExpired,
}


def problem_of(response: httpx.Response, *, own_key: bool) -> ClientError:
    """The error that an answer stands for.

    Args:
        response: one that is not a success.
        own_key: the caller gave a key; else the well-known one was sent.
    """
    try:
        answer = response.json()
        said = str(answer["error"])
        details = tuple(
            Fault(**{name: fault.get(name, "") for name in Fault.__dataclass_fields__})
            for fault in answer.get("details", [])
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return _not_ours(response)
    match response.status_code:
        case HTTPStatus.UNAUTHORIZED:
            key = "this key" if own_key else "the well-known key, and no other was given"
            return Unauthorized(
                f"{_service(response)} does not let {key} in: set SD_API_KEY, or give --key "
                "(in Python: api_key=...)"
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            return TooManyRequests(said, retry_after(response))
        case code if code in PASSING:
            return ServiceUnavailable(said, retry_after(response))
        case code if code in _REFUSALS:
            return _REFUSALS[code](said)
        case code if code in _BAD:
            return BadRequest(said, details)
        case code:
            return UnexpectedAnswer(f"{_service(response)} answers {code}: {said}")


def strange(response: httpx.Response) -> UnexpectedAnswer:
    """The error of an answer that this service does not give."""
    return UnexpectedAnswer(
        f"{response.url.copy_with(query=None)} answers {response.status_code}, and not as the "
        "service does: see that the address is right"
    )


def retry_after(response: httpx.Response) -> float | None:
    """Seconds after which to ask again, as the answer says; None if it does not."""
    said = response.headers.get("Retry-After", "")
    if said.isascii() and said.isdigit():
        return float(said)
    try:
        when = parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _not_ours(response: httpx.Response) -> ClientError:
    """What a proxy says for a service that it cannot reach, or somebody else altogether."""
    if response.status_code not in PASSING:
        return strange(response)
    reason = f"{response.status_code} {response.reason_phrase}".strip()
    said = f"{_service(response)} answers {reason}: try again later"
    return ServiceUnavailable(said, retry_after(response))


def _service(response: httpx.Response) -> str:
    return f"{response.url.scheme}://{response.url.netloc.decode()}"
