"""The request bodies in the OpenAPI document: the schemas with this deployment's limits."""

from typing import Any

from api.dialects.native.template_files import templates
from api.null_schema import or_null
from jobs.limits import Limits
from jobs.names import JobKind
from jobs.parameters.schemas import SCHEMAS

_API_KEY = {
    "type": ["string", "null"],
    "description": "an API key, when no header carries one",
}


def body_schemas(limits: Limits) -> dict[str, Any]:
    """The schemas of all requests, by name, with the limits of single fields.

    OpenAPI cannot express limits of several fields together (`max_work`, the sides of a model).
    """
    side = max(limits.max_side, limits.max_side_768, limits.max_side_1024)
    caps = {"H": side, "W": side, "n_iter": limits.max_images, "n_samples": limits.max_images}
    found: dict[str, Any] = {}
    for of_types in SCHEMAS.values():
        for schema in of_types.values():
            described = schema.model_json_schema(by_alias=True)
            for name, cap in caps.items():
                if bounded := described["properties"].get(name):
                    bounded["maximum"] = min(cap, bounded["maximum"])
            required = described.get("required", ())
            described["properties"] = {
                name: property_ if name in required else or_null(property_)
                for name, property_ in described["properties"].items()
            }
            described["properties"]["api_key"] = _API_KEY
            found[schema.__name__] = described
    return found


def request_body(kind: JobKind) -> dict[str, Any]:
    """The body for a kind: one schema for each job type, discriminated by `type`."""
    references = {
        job_type: f"#/components/schemas/{schema.__name__}"
        for job_type, schema in SCHEMAS[kind].items()
    }
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [{"$ref": reference} for reference in references.values()],
                    "discriminator": {"propertyName": "type", "mapping": references},
                },
                "examples": {
                    template.type: {"value": template.body()}
                    for template in templates()
                    if template.kind == kind
                },
            }
        },
    }
