"""The bodies as the OpenAPI document describes them: null means that a field is omitted."""

from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from api.dialects.openai.request_models import OPTIONS, EditImages
from api.null_schema import or_null


def _with_nulls(schema: dict[str, Any]) -> None:
    """Let every optional field be null."""
    required = schema.get("required", ())
    schema["properties"] |= {
        name: or_null(described)
        for name, described in schema["properties"].items()
        if name not in required
    }


class _Nullable(BaseModel):
    model_config = ConfigDict(json_schema_extra=_with_nulls)


_FIELDS = "OpenAI's fields, and those of the service by their own names."
GenerateBody = create_model(
    "ImageGeneration", __base__=(OPTIONS["txt2img"], _Nullable), __doc__=_FIELDS
)
EditBody = create_model(
    "ImageEdit", __base__=(OPTIONS["img2img"], EditImages, _Nullable), __doc__=_FIELDS
)
