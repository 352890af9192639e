"""Converts pydantic's errors to faults that say what would be valid."""

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from jobs.errors import Fault
from jobs.parameters.comparison import EXPECTED
from jobs.pictures.inputs import INPUT_FIELDS
from jobs.pictures.picture_formats import IN_WORDS
from jobs.validation.foreign_fields import FOREIGN_FIELDS, REMEDIES, snake_case

_MAX_UNKNOWN = 20
_MAX_SHOWN = 80
_SIMILAR = 0.7
"""Below this similarity a suggestion misleads: `lora` is no misspelled `format`."""
_SECRET = INPUT_FIELDS | {"api_key"}

# pydantic's error type -> our code and the problem; the valid values come from the schema
_PROBLEMS: dict[str, tuple[str, str]] = {
    "missing": ("missing", "is missing"),
    "string_type": ("type", "is not a string"),
    "int_type": ("type", "is not an integer"),
    "float_type": ("type", "is not a number"),
    "bool_type": ("type", "is not true or false"),
    "bytes_type": ("type", "is not a string"),
    "finite_number": ("not_finite", "is not a finite number"),
    "greater_than": ("range", "is too small"),
    "greater_than_equal": ("range", "is too small"),
    "less_than": ("range", "is too large"),
    "less_than_equal": ("range", "is too large"),
    "multiple_of": ("multiple_of", "is not a multiple of {multiple_of}"),
    "string_too_short": ("empty", "is empty"),
    "string_too_long": ("too_long", "is longer than {max_length} characters"),
    "string_pattern_mismatch": ("enum", "is not one of the choices"),
    "string_unicode": ("invalid_characters", "is not valid text"),
    "literal_error": ("enum", "is not one of the choices"),
}
_FIELD_CODES = {"C": "must_match_model", "f": "must_match_model"}
# where the schema has only a pattern, words say more
_FIELD_EXPECTED = {
    "outdir": "a folder below the output root, such as outputs/cats: up to 8 names of letters, "
    "digits, '.', '_' and '-'",
    "extend": 'an object such as {"left": 64, "top": 0}: of left, right, top and bottom, each a '
    "multiple of 8 from 0 up to 2048",
    "vary": EXPECTED,
    "cache": 'an object such as {"interval": 3}, with an integer from 2 up to 10',
    "refiner": 'an object such as {"ckpt": "sdxl-refiner", "switch_at": 0.8}, with a number from 0 '
    "up to but without 1",
}


@dataclass(frozen=True)
class OtherSchema:
    """A schema that has a field which this one lacks.

    Attributes:
        name: what the field belongs to.
        remedy: what to send instead.
        here: what the field is called in this schema; empty: it has no such field.
    """

    name: str
    remedy: str
    here: str = ""


def faults_of(
    error: ValidationError,
    model: type[BaseModel],
    body: dict[str, Any],
    other_schemas: Mapping[str, OtherSchema] | None = None,
) -> tuple[Fault, ...]:
    """Every fault in a validation error, one a field; of unknown fields the first 20.

    Args:
        error: what pydantic found.
        model: the schema that the body was read against.
        body: the JSON object.
        other_schemas: for each field that only other schemas have, one of them.
    """
    other_schemas = other_schemas or {}
    properties = _properties(model)
    faults: dict[str, Fault] = {}
    unknown = 0
    for detail in error.errors(include_url=False, include_input=False):
        field = str(detail["loc"][0])
        if field in faults:
            continue
        if detail["type"] == "extra_forbidden" and field in other_schemas:
            faults[field] = _misplaced_field(field, body.get(field), other_schemas[field])
        elif detail["type"] == "extra_forbidden":
            unknown += 1
            if unknown <= _MAX_UNKNOWN:
                faults[field] = _unknown_field(field, body.get(field), properties, other_schemas)
        else:
            faults[field] = _field_fault(field, detail, body.get(field), properties[field])
    return tuple(faults.values())


@cache
def _properties(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schemas of a model's fields, which take 20 ms to make."""
    return model.model_json_schema(by_alias=True)["properties"]


def safe_value(field: str, value: Any) -> Any:
    """A field's value as an error may repeat it: short, valid JSON, no secret and no picture."""
    if field in _SECRET:
        return None
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if abs(value) < 10**30 else f"an integer of {value.bit_length()} bits"
    text = value if isinstance(value, str) else json.dumps(value, default=str)[: _MAX_SHOWN + 1]
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def expected_of(schema: dict[str, Any]) -> str:
    """What a field accepts, in words, from its JSON schema."""
    if "anyOf" in schema:
        return " or ".join(expected_of(choice) for choice in schema["anyOf"])
    if "enum" in schema:
        return "one of: " + ", ".join(str(choice) for choice in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    if schema.get("format") == "uri":
        return "an https URL"
    if schema.get("contentEncoding") == "base64":
        return f"base64 of a {IN_WORDS} image"
    if schema.get("type") in ("integer", "number"):
        return _expected_number(schema)
    if "cuda" in schema.get("pattern", ""):
        return "cpu, cuda or cuda:N"
    if "properties" in schema:
        return "an object of " + ", ".join(schema["properties"])
    words = {"string": "a string", "boolean": "true or false", "object": "an object of strings"}
    return words.get(schema.get("type", ""), str(schema.get("type", "null")))


def _expected_number(schema: dict[str, Any]) -> str:
    words = "an integer" if schema["type"] == "integer" else "a number"
    if "multipleOf" in schema:
        words = f"a multiple of {schema['multipleOf']}"
    if "exclusiveMinimum" in schema:
        words += f" above {schema['exclusiveMinimum']}"
    if "minimum" in schema:
        words += f" from {schema['minimum']}"
    if "maximum" in schema:
        words += f" up to {schema['maximum']}"
    return words


def _misplaced_field(field: str, value: Any, other: OtherSchema) -> Fault:
    return Fault(
        field=field,
        code="not_for_this_type",
        value=safe_value(field, value),
        problem=f"belongs to {other.name}",
        expected=f"the field left out, or {other.remedy}",
    )


def _unknown_field(
    field: str,
    value: Any,
    properties: dict[str, Any],
    other_schemas: Mapping[str, OtherSchema],
) -> Fault:
    shown = str(safe_value("", field))
    if field == "api_key" and not isinstance(value, str):
        return Fault(
            field=field, code="type", value=None, problem="is not a string", expected="a string"
        )
    return Fault(
        field=shown,
        code="unknown_field",
        value=safe_value(field, value),
        problem="is not a known field",
        expected=_meant(field, value, properties, other_schemas) or "a field of the template",
    )


def _meant(
    field: str,
    value: Any,
    properties: dict[str, Any],
    other_schemas: Mapping[str, OtherSchema],
) -> str:
    """What an unknown field may stand for; empty if nothing is similar."""
    if len(field) > 64:
        return ""
    name = snake_case(field)
    if name in REMEDIES:
        return REMEDIES[name]
    meant = FOREIGN_FIELDS.get(name)
    if meant is None:
        named = {snake_case(known): known for known in (*other_schemas, *properties)}
        similar = difflib.get_close_matches(name, named, n=1, cutoff=_SIMILAR)
        meant = named[similar[0]] if similar else ""
    if meant in properties:
        choice = _similar_choice(value, properties[meant])
        return (
            f"did you mean {meant}, with the value {choice}?"
            if choice
            else f"did you mean {meant}?"
        )
    if meant in other_schemas:
        other = other_schemas[meant]
        if other.here:
            return f"did you mean {other.here}?"
        return f"did you mean {meant}? It belongs to {other.name}"
    return ""


def _field_fault(field: str, detail: ErrorDetails, value: Any, schema: dict[str, Any]) -> Fault:
    code, problem = detail["type"], detail["msg"]
    if code in _PROBLEMS:
        code, problem = _PROBLEMS[code]
        problem = problem.format(**detail.get("ctx", {}))
    choice = _similar_choice(value, schema)
    return Fault(
        field=field,
        code=_FIELD_CODES.get(field, code),
        value=safe_value(field, value),
        problem=problem,
        expected=(f"did you mean {choice}? " if choice else "")
        + (_FIELD_EXPECTED.get(field) or expected_of(schema)),
    )


def _similar_choice(value: Any, schema: dict[str, Any]) -> str:
    """The choice that a misspelled one is most similar to; empty if none is similar."""
    if not isinstance(value, str) or len(value) > 64:
        return ""
    choices = [str(choice) for choice in schema.get("enum", ())]
    return next(iter(difflib.get_close_matches(value, choices, n=1)), "")
