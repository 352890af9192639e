"""The JSON schema of an optional field, for which null means that it is omitted."""

from typing import Any

_NULL = {"type": "null"}


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema, which null satisfies too."""
    if "anyOf" in schema:
        return schema | {"anyOf": [*(each for each in schema["anyOf"] if each != _NULL), _NULL]}
    nullable = schema | {"type": [schema["type"], "null"]}
    if "const" in nullable:
        nullable["enum"] = [nullable.pop("const")]
    if "enum" in nullable:
        nullable["enum"] = [*nullable["enum"], None]
    return nullable
