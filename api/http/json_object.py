"""The JSON object in a body, parsed strictly and at a bounded cost.

Flask accepts NaN, keeps the last of two equal keys, and fails on deep nesting with a
RecursionError. Here each of these is an UnreadableBody, and so is a body with more structure than
any valid request has: 16 MiB of `[],` take seconds and 400 MiB to build.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from api.errors import UnreadableBody

JsonObject = dict[str, Any]

MAX_DEPTH = 8
"""Levels of nested objects and lists; the templates need two."""
MAX_STRUCTURE = 100_000
"""Commas and opening brackets, in strings as well. Two prompts of 20,000 characters have at most
40,000 of them; base64 has none. Escapes in strings cost nothing, and base64 may have hundreds of
thousands: PHP writes each `/` as `\\/`, and each line ends in `\\n`."""
_STRUCTURE = (b",", b"[", b"{")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_object(body: bytes | bytearray) -> JsonObject:
    """The JSON object in `body`, or UnreadableBody."""
    if sum(map(body.count, _STRUCTURE)) > MAX_STRUCTURE:
        raise UnreadableBody(
            f"the body has more than {MAX_STRUCTURE} commas and opening brackets; no valid request "
            "has as many"
        )
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
