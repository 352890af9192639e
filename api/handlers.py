"""From exceptions to answers: the one place that knows which fault has which HTTP code."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import Flask
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from api.errors import (
    ApiError,
    BodyTooLarge,
    BodyTooSlow,
    NobodyServes,
    NoSuchImage,
    NoSuchPage,
    NoSuchTemplate,
    NotJson,
    TooManyRequests,
    TooManyStreams,
    Unauthorized,
    UnreadableBody,
)
from jobs.errors import (
    Fault,
    IdempotencyKeyReused,
    InvalidRequest,
    JobAlreadyFinal,
    JobExpired,
    JobsError,
    NoSuchJob,
    NoSuchPicture,
    QueueFull,
    RecordsUnavailable,
    StoreError,
    TooManyWaiting,
)

log = logging.getLogger(__name__)

CODES: dict[type[Exception], HTTPStatus] = {
    UnreadableBody: HTTPStatus.BAD_REQUEST,
    InvalidRequest: HTTPStatus.BAD_REQUEST,
    Unauthorized: HTTPStatus.UNAUTHORIZED,
    NoSuchJob: HTTPStatus.NOT_FOUND,
    NoSuchImage: HTTPStatus.NOT_FOUND,
    NoSuchPage: HTTPStatus.NOT_FOUND,
    NoSuchTemplate: HTTPStatus.NOT_FOUND,
    NoSuchPicture: HTTPStatus.GONE,
    JobExpired: HTTPStatus.GONE,
    JobAlreadyFinal: HTTPStatus.CONFLICT,
    IdempotencyKeyReused: HTTPStatus.CONFLICT,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    NotJson: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    TooManyWaiting: HTTPStatus.TOO_MANY_REQUESTS,
    TooManyStreams: HTTPStatus.SERVICE_UNAVAILABLE,
    QueueFull: HTTPStatus.SERVICE_UNAVAILABLE,
    RecordsUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    NobodyServes: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
}
RETRY_SECONDS = 5
"""What a client is told to wait after a 503, or a 429 that does not know better."""


def error_body(summary: str, faults: Sequence[Fault] = ()) -> dict[str, Any]:
    """The shape of every error of this API."""
    return {"error": summary, "details": [asdict(fault) for fault in faults]}


def register_handlers(app: Flask) -> None:
    """Answer every exception of a request in JSON."""
    app.register_error_handler(ApiError, _known)
    app.register_error_handler(JobsError, _known)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unknown)


def _known(error: Exception) -> ResponseReturnValue:
    code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), None)
    if code is None:
        return _unknown(error)
    headers: dict[str, str] = {}
    if code is HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("%s", error)
    if code in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = str(getattr(error, "retry_after", RETRY_SECONDS))
    if code is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return _body(error), code, headers


def _body(error: Exception) -> dict[str, Any]:
    match error:
        case InvalidRequest(faults=faults):
            several = f"{len(faults)} fields are" if len(faults) > 1 else "a field is"
            return error_body(f"{several} not as they should be: {error}", faults)
        case RecordsUnavailable():
            return error_body("the queue cannot be reached; nothing was accepted")
        case NoSuchJob():
            return error_body("no such job, or not one of this key's")
        case JobExpired():
            return error_body("the job has expired: its record and pictures are no longer kept")
        case NoSuchPicture():
            return error_body("the picture is no longer stored")
        case StoreError():
            return error_body("the pictures' store cannot be used now")
        case _:
            return error_body(str(error))


def _http(error: HTTPException) -> ResponseReturnValue:
    headers = [header for header in error.get_headers() if header[0] != "Content-Type"]
    return error_body(error.description or error.name), error.code or 500, headers


def _unknown(error: Exception) -> ResponseReturnValue:
    log.exception("a request failed", exc_info=error)
    return error_body("internal error"), HTTPStatus.INTERNAL_SERVER_ERROR
