"""The types of the parameters of the Python client, a package without pydantic."""

from collections.abc import Iterator
from typing import Any

from jobs.names import JOB_TYPES, JobKind
from jobs.parameters.schemas import SCHEMAS
from jobs.pictures.inputs import INPUT_FIELDS

HEAD = '''"""The service's parameters. `make docs` writes this file."""

from typing import Literal, TypedDict
'''
MOST_CHOICES = 5
"""A field with more of them, such as the samplers with their aliases, is a text."""
_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_PLAIN = {str: "str", int: "int", bool: "bool"}
_NOT_SET = {"prompt", "return_base64", "synchronous_request", *INPUT_FIELDS}
"""Arguments of the client's methods, and what it cannot set (`RESERVED` there)."""
Fields = dict[str, str]


def client_parameters() -> str:
    """A module with a TypedDict for each kind of request, and one of what two of them share."""
    text, image, upscale = map(_fields, SCHEMAS)
    common = {name: type_ for name, type_ in text.items() if image.get(name) == type_}
    classes = (
        _class("CommonFields(TypedDict", "Of `/generate` and `/img2img`.", common),
        _class("TextFields(CommonFields", "Of `/generate`.", _less(text, common)),
        _class("ImageFields(CommonFields", "Of `/img2img`.", _less(image, common)),
        _class("UpscaleFields(TypedDict", "Of `/upscale`.", upscale),
    )
    return "\n\n".join((HEAD, *classes))


def _fields(kind: JobKind) -> Fields:
    """Name → type of the parameters that a caller can set besides pictures."""
    properties = SCHEMAS[kind]["standard"].model_json_schema(by_alias=True)["properties"]
    properties["type"] = {"enum": JOB_TYPES}
    return {
        name.replace("-", "_"): type_of(schema)
        for name, schema in properties.items()
        if name not in _NOT_SET
    }


def _less(fields: Fields, others: Fields) -> Fields:
    return {name: type_ for name, type_ in fields.items() if name not in others}


def _class(head: str, means: str, fields: Fields) -> str:
    lines = "\n".join(f"    {name}: {type_}" for name, type_ in fields.items())
    return f'class {head}, total=False):\n    """{means}"""\n\n{lines}\n'


def type_of(schema: dict[str, Any]) -> str:
    """The type of a JSON schema's values, as Python writes it; null comes last."""
    options = list(_options(schema))
    names = [name for option in options for name in _names(option)]
    lists = [option["items"] for option in options if "items" in option]
    if lists:
        names.append(f"list[{type_of({'anyOf': lists})}]")
    values = [value for option in options for value in _values(option)]
    if values:
        names.append(f"dict[str, {type_of({'anyOf': values})}]")
    if schema.get("default", ...) is None:
        names.append("None")
    choices = [choice for option in options for choice in _choices(option)]
    choices = [each for each in choices if _PLAIN[type(each)] not in names]
    if choices:
        written = (f'"{each}"' if isinstance(each, str) else repr(each) for each in choices)
        names.append(f"Literal[{', '.join(dict.fromkeys(written))}]")
    return " | ".join(sorted(dict.fromkeys(names), key=lambda name: name == "None"))


def _options(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for each in schema.get("anyOf", ()):
        yield from _options(each)
    if "anyOf" not in schema:
        yield schema


def _choices(option: dict[str, Any]) -> list[Any]:
    given = option.get("enum", [option["const"]] if "const" in option else [])
    return [*given] if len(given) <= MOST_CHOICES else []


def _names(option: dict[str, Any]) -> Iterator[str]:
    if not any(isinstance(each, str) for each in _choices(option)) and option.get("type") in _TYPES:
        yield _TYPES[option["type"]]


def _values(option: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of an object's values."""
    return [
        *option.get("properties", {}).values(),
        *filter(None, [option.get("additionalProperties")]),
    ]
