"""Reads the values of `vary`, each as its field alone would be read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from jobs.errors import Fault
from jobs.limits import Limits
from jobs.parameters.schemas import Request, fields_of, without_inputs
from jobs.validation.validation_faults import faults_of, safe_value

_SEEDS = ("seed", "variation_seed")
_Request = TypeVar("_Request", bound=Request)


def read_comparison(request: _Request, limits: Limits) -> tuple[_Request, list[Fault]]:
    """A request whose `vary` has the final types, and whose varied fields the first values.

    Args:
        request: its `vary` has the right form.

    Returns:
        With faults, the request without `vary`, and the faults: each names its value, such as
        `vary.scale[2]`.
    """
    read: dict[str, list[Any]] = {}
    faults: list[Fault] = []
    for field, values in (request.vary or {}).items():
        read[field] = []
        for index, value in enumerate(values):
            try:
                read[field].append(_read(request, field, value, limits))
            except _Refused as refused:
                faults.append(replace(refused.fault, field=f"vary.{field}[{index}]"))
    if faults or not read:
        return request.model_copy(update={"vary": None}), faults
    first = {field: values[0] for field, values in read.items()}
    return request.model_copy(update={"vary": read, **first}), []


def comparison_warnings(request: Request) -> tuple[str, ...]:
    """What of a request has no effect because it has `vary`."""
    if not (request.vary and request.n_rows):
        return ()
    return ("n_rows: the grid of a comparison has a row for each value; no effect",)


class _Refused(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.problem)
        self.fault = fault


def _read(request: Request, field: str, value: Any, limits: Limits) -> Any:
    schema = type(request)
    body = {"type": request.type, field: value}
    if field not in fields_of(schema):
        other = "txt2img" if request.kind == "img2img" else "img2img"
        problem, expected = f"belongs to {other}, not to {request.kind}", "another field"
        raise _Refused(_fault(field, "not_for_this_type", value, problem, expected))
    try:
        found = schema.model_validate(body | without_inputs(schema), context={"limits": limits})
    except ValidationError as error:
        raise _Refused(faults_of(error, schema, body)[0]) from error
    if field in _SEEDS and getattr(found, field) is None:
        problem, expected = "is drawn at random, which compares nothing", "an integer from 0"
        raise _Refused(_fault(field, "range", value, problem, expected))
    return getattr(found, field)


def _fault(field: str, code: str, value: Any, problem: str, expected: str) -> Fault:
    value = safe_value(field, value)
    return Fault(field=field, code=code, value=value, problem=problem, expected=expected)


def varied_faults(
    vary: Mapping[str, Sequence[Any]], of_combinations: Sequence[Sequence[Fault]]
) -> Iterator[Fault]:
    """The faults of all combinations, each once, under the name of the value that it is about.

    Args:
        vary: as of a request.
        of_combinations: in the order of `Request.combinations`.
    """
    across = len(next(iter(vary.values()), ()))
    found: set[tuple[str, str]] = set()
    for number, faults in enumerate(of_combinations):
        row, column = divmod(number, across or 1)
        indices = dict(zip(vary, (column, row), strict=False))
        for fault in faults:
            field = fault.field
            if field in indices:
                field = f"vary.{field}[{indices[field]}]"
            if (field, fault.code) not in found:
                found.add((field, fault.code))
                yield replace(fault, field=field)
