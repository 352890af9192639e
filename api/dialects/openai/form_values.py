"""The fields of a form, which are text, with the types that they have in JSON."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from api.dialects.openai.images_of_edit import IMAGE_NAMES
from api.errors import UnreadableBody
from api.http.form_data import Form

_IMAGES = {*IMAGE_NAMES, "mask", "markup"}


def typed(form: Form, model: type[BaseModel]) -> dict[str, Any]:
    """The body that a client would send as JSON; images are lists of files.

    A text that is no number or truth value where one is needed stays, so that it is reported with
    the other faults.

    Args:
        form: as it was sent. `svg[model]` is the field `model` of the object `svg`.
        model: whose fields decide.

    Raises:
        UnreadableBody: a field comes twice.
    """
    body: dict[str, Any] = {}
    for name, values in form.items():
        if name in _IMAGES:
            body[name] = values if name in IMAGE_NAMES or len(values) > 1 else values[0]
            continue
        if len(values) > 1:
            raise UnreadableBody(f"the body names {json.dumps(name[:60])} twice")
        outer, bracket, inner = name.partition("[")
        if bracket and outer in model.model_fields:
            known = body.setdefault(outer, {})
            if isinstance(known, dict):
                known[inner.removesuffix("]")] = values[0]
        else:
            body[name] = _typed(values[0], _schemas(model).get(name, {}))
    return body


def _typed(value: str | bytes, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, bytes) or _accepts_text(schema):
        return value
    text = value.strip()
    try:
        return json.loads(text.lower() if text.isalpha() else text)  # Python writes True
    except (ValueError, RecursionError):
        return value


def _accepts_text(schema: Mapping[str, Any]) -> bool:
    choices = schema.get("anyOf", [schema])
    return not schema or any(choice.get("type") == "string" for choice in choices)


@cache
def _schemas(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    return model.model_json_schema(by_alias=True)["properties"]
