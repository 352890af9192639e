"""JSON that a stranger's program has written, of any shape."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def read_json(text: str) -> Mapping[str, Any]:
    """The JSON object in a text; an empty one if there is none."""
    try:
        return mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {}


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> Sequence[Any]:
    """The value if it is an array, else an empty one."""
    return value if isinstance(value, list) else ()


def number_text(value: Any) -> str:
    """A number in the fewest digits, anything else as 1: the weight that is meant without one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "1"
    try:
        return f"{value:g}"
    except OverflowError:  # an integer that no float can hold
        return "1"
