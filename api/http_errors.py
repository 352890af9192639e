"""Which exception has which HTTP status and message. A dialect only gives them its own JSON."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from flask import Blueprint, Flask, current_app, has_request_context, request
from flask.sansio.app import App
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from api import errors as api_errors
from api.refusals import log_refusal
from jobs import errors as jobs_errors

log = logging.getLogger(__name__)

CLIENT_CLOSED_REQUEST = 499
"""As nginx logs it."""
HTTP_STATUS: dict[type[Exception], int] = {
    api_errors.UnreadableBody: HTTPStatus.BAD_REQUEST,
    jobs_errors.InvalidRequest: HTTPStatus.BAD_REQUEST,
    api_errors.Unauthorized: HTTPStatus.UNAUTHORIZED,
    jobs_errors.NoSuchJob: HTTPStatus.NOT_FOUND,
    api_errors.NoSuchImage: HTTPStatus.NOT_FOUND,
    api_errors.NoSuchPage: HTTPStatus.NOT_FOUND,
    api_errors.NoSuchDocument: HTTPStatus.NOT_FOUND,
    api_errors.NoWebhookSecret: HTTPStatus.NOT_FOUND,
    api_errors.NoSuchTemplate: HTTPStatus.NOT_FOUND,
    jobs_errors.NoSuchPicture: HTTPStatus.GONE,
    jobs_errors.JobExpired: HTTPStatus.GONE,
    jobs_errors.JobAlreadyFinal: HTTPStatus.CONFLICT,
    jobs_errors.IdempotencyKeyReused: HTTPStatus.CONFLICT,
    api_errors.BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    jobs_errors.OptionsTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    api_errors.BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    api_errors.NotJson: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    api_errors.UnknownEncoding: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    api_errors.TooManyRequests: HTTPStatus.TOO_MANY_REQUESTS,
    api_errors.TooManyWrongKeys: HTTPStatus.TOO_MANY_REQUESTS,
    jobs_errors.TooManyWaiting: HTTPStatus.TOO_MANY_REQUESTS,
    api_errors.UnknownHost: HTTPStatus.MISDIRECTED_REQUEST,
    api_errors.TooManyBodies: HTTPStatus.SERVICE_UNAVAILABLE,
    jobs_errors.TooManyBytes: HTTPStatus.TOO_MANY_REQUESTS,
    api_errors.TooManyStreams: HTTPStatus.SERVICE_UNAVAILABLE,
    jobs_errors.QueueFull: HTTPStatus.SERVICE_UNAVAILABLE,
    jobs_errors.RecordsUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    jobs_errors.UnreadableRecord: HTTPStatus.SERVICE_UNAVAILABLE,
    api_errors.NoWorkerForType: HTTPStatus.SERVICE_UNAVAILABLE,
    jobs_errors.StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    api_errors.JobCancelled: HTTPStatus.CONFLICT,
    api_errors.JobFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    api_errors.JobImpossible: HTTPStatus.BAD_REQUEST,
    api_errors.NotReady: HTTPStatus.GATEWAY_TIMEOUT,
    api_errors.NoPlaceToWait: HTTPStatus.SERVICE_UNAVAILABLE,
    api_errors.NoShareToWait: HTTPStatus.TOO_MANY_REQUESTS,
    api_errors.ClientGone: CLIENT_CLOSED_REQUEST,
}
RETRY_SECONDS = 5
"""`Retry-After` of a 503, and of a 429 that has no better value."""


@dataclass(frozen=True)
class HttpError:
    """An error as any dialect may answer it.

    Attributes:
        status: the HTTP status code.
        message: a sentence for the client.
        faults: every fault of the request's fields; else empty.
        headers: such as Retry-After.
        code: of the error for programs, if it has one of its own.
        final: the same request would have the same end.
    """

    status: int
    message: str
    faults: tuple[jobs_errors.Fault, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    code: str | None = None
    final: bool = False


Respond = Callable[[HttpError], ResponseReturnValue]
_SHAPES = "error_shapes"
"""In `app.extensions`: the name of a blueprint → how it answers errors."""


def register_error_handlers(target: Flask | Blueprint, respond: Respond) -> None:
    """Answer every exception in the views of an app or a blueprint by `respond`.

    An address that no view has, or not for this method, belongs to the blueprint whose addresses
    begin as it does.
    """

    def handle(error: Exception) -> ResponseReturnValue:
        shape = respond if request.url_rule else _shape_of(request.path, respond)
        answer = current_app.make_response(shape(http_error(error)))
        log_refusal(error, answer.status_code)
        return answer

    if isinstance(target, Blueprint):
        name = target.name
        target.record(lambda state: _shapes(state.app).update({name: respond}))
    for kind in (api_errors.ApiError, jobs_errors.JobsError, HTTPException, Exception):
        target.register_error_handler(kind, handle)


def _shapes(app: App) -> dict[str, Respond]:
    return app.extensions.setdefault(_SHAPES, {})


def _shape_of(path: str, usual: Respond) -> Respond:
    """How an error at an address without a view is answered, by the first part of its path."""
    first = path.split("/")[1]
    shapes = _shapes(current_app)
    for rule in current_app.url_map.iter_rules():
        blueprint = rule.endpoint.partition(".")[0]
        if rule.rule.split("/")[1] == first and blueprint in shapes:
            return shapes[blueprint]
    return usual


def http_error(error: Exception) -> HttpError:
    """What to answer; logs what nobody expected."""
    if isinstance(error, HTTPException):
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            methods = " or ".join(sorted(set(error.valid_methods) - {"HEAD", "OPTIONS"}))
            error.description = f"{request.method} is not allowed here: use {methods}"
        kept = tuple(header for header in error.get_headers() if header[0] != "Content-Type")
        return HttpError(error.code or 500, error.description or error.name, headers=kept)
    status = next((HTTP_STATUS[kind] for kind in type(error).__mro__ if kind in HTTP_STATUS), None)
    if status is None:
        log.exception("a request failed", exc_info=error)
        return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error")
    headers: dict[str, str] = {}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = str(getattr(error, "retry_after", RETRY_SECONDS))
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    faults = error.faults if isinstance(error, jobs_errors.InvalidRequest) else ()
    ended = error if isinstance(error, api_errors.NoImages) else api_errors.NoImages()
    return HttpError(
        status,
        _message(error),
        faults,
        tuple(headers.items()),
        code=ended.code,
        final=ended.final,
    )


def _message(error: Exception) -> str:
    match error:
        case jobs_errors.InvalidRequest(faults=faults):
            subject = f"{len(faults)} fields are" if len(faults) > 1 else "a field is"
            return f"{subject} invalid: {error}"
        case jobs_errors.RecordsFull():
            return (
                "the queue's memory is full; nothing was accepted: try again when waiting jobs "
                "have ended, or records of old ones have expired"
            )
        case jobs_errors.RecordsUnavailable():
            submits = has_request_context() and request.method == "POST"
            return (
                f"the queue cannot be reached; {'nothing was accepted' if submits else 'try again'}"
            )
        case jobs_errors.NoSuchJob():
            return "no such job, or another key's"
        case jobs_errors.JobExpired():
            return "the job has expired: its record and pictures are deleted"
        case jobs_errors.NoSuchPicture():
            return "the picture is no longer stored"
        case jobs_errors.StoreError():
            return "the picture store cannot be used now"
        case _:
            return str(error)
