"""A field of AUTOMATIC1111's requests: its type, its default, and what it becomes here.

`fields_txt2img` and `fields_img2img` list them. One table serves the validation of a body, the
OpenAPI document, the translation to a native request with its warnings, and the page of the docs.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, create_model
from pydantic import Field as SchemaField

from jobs.errors import Fault, InvalidRequest
from jobs.parameters.types import WHOLE
from jobs.validation.validation_faults import safe_value

Flag = Annotated[bool | Literal[0, 1], AfterValidator(bool)]
"""True or false; clients of other languages write 1 or 0."""
PICTURES = frozenset({"init_images", "mask", "latent_mask", "image", "imageList"})
"""Fields that hold pictures: no message and no answer repeats them."""


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field.

    Attributes:
        name: as in a body.
        type: what it may be, read strictly; null means the default.
        default: its value if it is left out.
        means: what it does, in words.
        neutral: further values that mean the same as the default, or nothing.
        native: the field of a native request that it becomes, where the engine has that one.
        convert: its value → the native field's.
        left_out: values for which the native field is left out.
        needs: another field; without it this one has no effect.
        followed: the dialect follows it without a native field of its own.
        instead: what a client can do instead, for the warning that it was not followed.
    """

    name: str
    type: Any
    default: Any
    means: str
    neutral: tuple[Any, ...] = ()
    native: str = ""
    convert: Callable[[Any], Any] = _same
    left_out: tuple[Any, ...] = ()
    needs: str = ""
    followed: bool = False
    instead: str = ""

    def is_neutral(self, value: Any) -> bool:
        """Whether a value asks for nothing that a request without the field does not get."""
        return value in (None, self.default, *self.neutral)


def schema_of(name: str, fields: Collection[Field]) -> type[BaseModel]:
    """The schema of a body with these fields; unknown ones are kept apart."""
    described: dict[str, Any] = {
        field.name: (
            Annotated[field.type | None, SchemaField(description=field.means), WHOLE],
            SchemaField(default=field.default),
        )
        for field in fields
    }
    config = ConfigDict(
        extra="allow",
        strict=True,  # as the document says: neither "5" nor true is a number
        protected_namespaces=(),
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )
    return create_model(name, __config__=config, **described)


@dataclass(frozen=True)
class Values:
    """The values of a body: of every field of its table, and the names of unknown ones.

    Attributes:
        sent: the fields whose values are the client's, and not their defaults.
    """

    of: Mapping[str, Any]
    unknown: tuple[str, ...]
    sent: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Any:
        return self.of[name]


def read_values(
    schema: type[BaseModel], fields: Collection[Field], body: Mapping[str, Any]
) -> Values:
    """The values of a body. Raises InvalidRequest with every field of a wrong type."""
    try:
        read = schema.model_validate(body)
    except ValidationError as error:
        raise InvalidRequest(_faults(error, body)) from error
    values = {field.name: getattr(read, field.name) for field in fields}
    settled = {
        field.name: field.default if values[field.name] is None else values[field.name]
        for field in fields
    }
    sent = frozenset(name for name in read.model_fields_set if values.get(name) is not None)
    return Values(settled, tuple(read.model_extra or {}), sent)


@dataclass(frozen=True)
class Translation:
    """Native fields, what could not be followed, and how the native fields were written."""

    body: dict[str, Any]
    warnings: tuple[str, ...]
    written: Mapping[str, str]


def translated(fields: Collection[Field], values: Values, known: Collection[str]) -> Translation:
    """What the fields become.

    Args:
        fields: the table.
        values: of a body.
        known: the names of the native fields that there are.
    """
    body: dict[str, Any] = {}
    warnings: list[str] = []
    rows = {field.name: field for field in fields}
    for field in fields:
        value = values[field.name]
        switch = rows.get(field.needs)
        off = switch is not None and switch.is_neutral(values[switch.name])
        if field.followed and not off:
            continue
        if field.native in known and not off:
            if value not in (None, *field.left_out):
                body[field.native] = field.convert(value)
        elif not field.is_neutral(value):
            warnings.append(_warning(field, value, off=off))
    warnings += [f"{name[:80]}: there is no such field; it was ignored" for name in values.unknown]
    written = {field.native: field.name for field in fields if field.native}
    return Translation(body, tuple(warnings), written)


def _warning(field: Field, value: Any, *, off: bool) -> str:
    shown = "" if field.name in PICTURES else f" {json.dumps(safe_value(field.name, value))}"
    if off:
        return f"{field.name}:{shown} has an effect only with {field.needs}"
    instead = f": {field.instead}" if field.instead else ""
    return f"{field.name}:{shown} was not followed{instead}"


def _faults(error: ValidationError, body: Mapping[str, Any]) -> tuple[Fault, ...]:
    faults: dict[str, Fault] = {}
    for detail in error.errors(include_url=False, include_input=False):
        name = str(detail["loc"][0])
        faults.setdefault(
            name,
            Fault(
                field=name,
                code=detail["type"],
                value=None if name in PICTURES else safe_value(name, body.get(name)),
                problem="is invalid",
                expected=detail["msg"].removeprefix("Input should be "),
            ),
        )
    return tuple(faults.values())
