"""Comparisons of models or presets: each combination gets the values that its model wants.

A combination is what a request with its values gives, so what the request leaves out is filled for
each of them. The record keeps what differs.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, TypeVar

from jobs.parameters.comparison import MAX_VALUES
from jobs.parameters.schemas import Request
from jobs.pictures.inputs import INPUT_FIELDS
from jobs.validation.settled_defaults import FILLED, FilledBody

FILLING = frozenset({"ckpt", "preset"})
"""The fields whose values decide what is filled in."""
_FILLED = (*FILLED, "prompt")
_Request = TypeVar("_Request", bound=Request)


def bodies_of_combinations(body: Mapping[str, Any], most: int) -> tuple[dict[str, Any], ...]:
    """The body of each combination, without `vary` and pictures, row by row.

    Args:
        body: may be faulty.
        most: combinations; of more there are none, for that is a fault.

    Returns:
        Nothing unless models or presets vary.
    """
    vary = body.get("vary")
    if not isinstance(vary, dict) or FILLING.isdisjoint(vary) or len(vary) > 2:
        return ()
    if not all(isinstance(each, list) and len(each) <= MAX_VALUES for each in vary.values()):
        return ()
    rest = {name: value for name, value in body.items() if name not in {"vary", *INPUT_FIELDS}}
    # the last one changes first, and the first field is that of the columns
    fields = [*reversed(vary)]
    rows = [*product(*(vary[field] for field in fields))]
    if len(rows) > most:
        return ()
    return tuple(rest | dict(zip(fields, row, strict=True)) for row in rows)


def filled_as_first(
    body: Mapping[str, Any], first: Mapping[str, Any], fill: Callable[[dict[str, Any]], FilledBody]
) -> FilledBody:
    """A body with what its first combination gets.

    Args:
        first: the body of that combination.
    """
    vary = body["vary"]
    filled = fill({**body, **{name: first[name] for name in vary}})
    # what the body itself says of a varied field may be faulty, and stays as it is
    own = {name: value for name, value in filled.body.items() if name not in vary}
    own |= {name: body[name] for name in vary if name in body}
    return FilledBody(own, filled.loras, filled.sources, filled.faults)


def with_filled(
    request: _Request,
    combinations: Sequence[FilledBody],
    read: Callable[[dict[str, Any]], Request],
) -> _Request:
    """A comparison whose combinations have what was filled in for each.

    Args:
        combinations: in the order of `combinations` of the request.
        read: reads a body.

    Raises:
        pydantic.ValidationError: of `read`.
    """
    differing: list[dict[str, Any]] = []
    for combination, filled in zip(request.combinations(), combinations, strict=True):
        wanted = filled.loras.to_request(read(filled.body))
        values = {name: getattr(wanted, name) for name in _FILLED}
        differing.append({n: v for n, v in values.items() if v != getattr(combination, n)})
    return request.with_differing(differing)
