"""The bodies as the OpenAPI document describes them: null means that a field is omitted."""

from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from api.dialects.openai.request_models import OPTIONS, EditImages


def _or_null(schema: dict[str, Any]) -> None:
    """Let every optional field be null."""
    required = schema.get("required", ())
    for name, described in schema["properties"].items():
        choices = described.get("anyOf", ())
        if name in required or {"type": "null"} in choices:
            continue
        if choices:
            described["anyOf"] = [*choices, {"type": "null"}]
        elif "const" in described:
            described["enum"] = [described.pop("const"), None]
            described["type"] = [described["type"], "null"]
        else:
            described["type"] = [described["type"], "null"]
            if "enum" in described:
                described["enum"] = [*described["enum"], None]


class _Nullable(BaseModel):
    model_config = ConfigDict(json_schema_extra=_or_null)


_FIELDS = "OpenAI's fields, and those of the service by their own names."
GenerateBody = create_model(
    "ImageGeneration", __base__=(OPTIONS["txt2img"], _Nullable), __doc__=_FIELDS
)
EditBody = create_model(
    "ImageEdit", __base__=(OPTIONS["img2img"], EditImages, _Nullable), __doc__=_FIELDS
)
