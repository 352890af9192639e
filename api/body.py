"""A request's body as one JSON object, parsed strictly.

Flask accepts NaN, keeps the last of two equal keys, truncates a chunked body at the limit and
parses the rest, and fails on deep nesting with a RecursionError. Here each of these raises an
ApiError.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any, NoReturn

from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import get_input_stream

from api.errors import BodyTooLarge, BodyTooSlow, NotJson, UnreadableBody

JsonObject = dict[str, Any]

MAX_DEPTH = 8
"""Levels of nested objects and lists; the templates need two."""
DRAINED_LIMITS = 4
"""Of a body that is too large, this many times the limit is read and discarded."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_object(request: Request, limit: int) -> JsonObject:
    """The JSON object of the request's body, at most `limit` bytes long.

    Raises NotJson, BodyTooLarge, BodyTooSlow or UnreadableBody.
    """
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        sent = request.mimetype or "nothing"
        raise NotJson(f"the body must be JSON: send Content-Type: application/json, not {sent}")
    return parse_object(_read_all(request, limit))


def parse_object(body: bytes) -> JsonObject:
    """The JSON object in `body`, or UnreadableBody."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableBody(f"the body is not UTF-8 (at byte {error.start})") from error
    try:
        value: Any = json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        raise UnreadableBody(f"the body is not valid JSON: {error.msg} at {position}") from error
    except RecursionError as error:
        raise UnreadableBody(_too_deep()) from error
    except ValueError as error:  # an integer of thousands of digits
        raise UnreadableBody("the body holds a number too long to read") from error
    if not isinstance(value, dict):
        raise UnreadableBody(f"the body must be a JSON object, not {_kind(value)}")
    _check_depth(value)
    return value


def _read_all(request: Request, limit: int) -> bytes:
    """The whole body, with a Content-Length or chunked."""
    try:
        return _read_up_to(request, limit)
    except (ClientDisconnected, OSError) as error:
        raise BodyTooSlow("the body did not arrive in time") from error
    except ParseException as error:  # invalid chunks
        raise UnreadableBody("the body is not valid HTTP") from error


def _read_up_to(request: Request, limit: int) -> bytes:
    stream: IO[bytes] = get_input_stream(request.environ)
    if (request.content_length or 0) <= limit:
        body = b"".join(_pieces(stream, limit + 1))
        if len(body) <= limit:
            return body
    # A client that is still sending reads the answer only after it has sent everything.
    for _ in _pieces(stream, DRAINED_LIMITS * limit):
        pass
    raise BodyTooLarge(f"the body is larger than {limit // 1024**2} MiB")


def _pieces(stream: IO[bytes], limit: int) -> Iterator[bytes]:
    """The content of the stream, at most `limit` bytes."""
    while limit > 0 and (piece := stream.read(min(limit, 1 << 16))):
        limit -= len(piece)
        yield piece


def _without_duplicates(pairs: list[tuple[str, Any]]) -> JsonObject:
    found: JsonObject = {}
    for key, value in pairs:
        if _LONE_SURROGATE.search(key):
            raise UnreadableBody("the body has a name that is not valid text")
        if key in found:
            raise UnreadableBody(f"the body names {_short(key)} twice")
        found[key] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise UnreadableBody(f"the body is not valid JSON: {name} is not a JSON number")


def _check_depth(value: object) -> None:
    level: Iterable[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return
    raise UnreadableBody(_too_deep())


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _kind(value: object) -> str:
    match value:
        case list():
            return "a list"
        case str():
            return "a string"
        case bool():
            return "true or false"
        case None:
            return "null"
        case _:
            return "a number"


def _short(key: str) -> str:
    return json.dumps(key if len(key) <= 60 else key[:60] + "…")


def _too_deep() -> str:
    return f"the body is nested deeper than {MAX_DEPTH} levels"
