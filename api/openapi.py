"""The OpenAPI documents of an application, made from its routes, so that none can be missing.

Each dialect has one. That of the native dialect also describes the service's own routes.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from api.dialects.native.error_json import Error
from api.dialects.native.request_bodies import body_schemas, request_body
from api.operations import ERRORS, ApiResponse, Operation, Parameter, operation_of
from jobs import __version__ as VERSION
from jobs.limits import Limits
from jobs.names import JobKind

TITLE = "Stable Diffusion service"
NATIVE = "native"
"""The name of the dialect in whose document the service's own routes are."""
DIALECTS = "dialects"
"""The name in `app.extensions` of the blueprints of all dialects, by their names."""
DESCRIPTION = """\
POST a request to `/generate` or `/img2img`, poll `Location`, and fetch the pictures when the job is
done.

Send the API key in the header `X-API-Key`, as `Authorization: Bearer`, as the password of
`Authorization: Basic`, or in the body as `api_key`.
An error response lists all faults of the body, each with its field.
"""
KEY_IN_THE_BODY: dict[str, list[str]] = {}
"""A security requirement without a header: the body carries the key."""
SECURITY_SCHEMES = {
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key as the token"},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "an API key as the password, with any user name",
    },
    "query": {"type": "apiKey", "in": "query", "name": "api_key"},
}
ERRORS_OF_ALL = (HTTPStatus.MISDIRECTED_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR)
_REF = "#/components/schemas/{model}"
_PART_OF_PATH = re.compile(r"<(?:\w+:)?(\w+)>")


def document(app: Flask, limits: Limits, dialect: str = NATIVE) -> dict[str, Any]:
    """The document of the routes of one dialect.

    Args:
        app: with all its routes; a view without an Operation is a KeyError.
        limits: the caps on one request, which bound some of its fields.
        dialect: the name of its blueprint; NATIVE: its routes and those of no dialect.
    """
    blueprints = app.extensions[DIALECTS]
    operations = [each for each in _operations(app) if _dialect_of(each[0], blueprints) == dialect]
    schemas = _schemas(operation for _, _, operation in operations)
    if any(isinstance(operation.body, str) for _, _, operation in operations):
        schemas |= body_schemas(limits)
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, operation in operations:
        view = app.view_functions[rule.endpoint]
        described = _operation(rule, method, operation, view.__doc__ or operation.summary)
        paths.setdefault(path_of(rule), {})[method] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE if dialect == NATIVE else f"{TITLE}: {dialect}",
            "version": VERSION,
            "description": DESCRIPTION if dialect == NATIVE else _described(blueprints[dialect]),
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def path_of(rule: Rule) -> str:
    """A route's path as OpenAPI writes it."""
    return _PART_OF_PATH.sub(r"{\1}", rule.rule)


def methods_of(rule: Rule) -> list[str]:
    """The methods of a route, without HEAD and OPTIONS, which Flask adds."""
    return sorted(method.lower() for method in (rule.methods or set()) - {"HEAD", "OPTIONS"})


def _dialect_of(rule: Rule, blueprints: Mapping[str, Blueprint]) -> str:
    outermost = rule.endpoint.partition(".")[0]
    return outermost if outermost in blueprints else NATIVE


def _described(dialect: Blueprint) -> str:
    """What the package of a dialect says of itself."""
    return sys.modules[dialect.import_name].__doc__ or ""


def _operations(app: Flask) -> Iterator[tuple[Rule, str, Operation]]:
    for rule in app.url_map.iter_rules():
        for method in methods_of(rule):
            yield rule, method, operation_of(app.view_functions[rule.endpoint])


def _schemas(operations: Iterator[Operation]) -> dict[str, Any]:
    """The schemas of all responses, and of the bodies that are not native requests, by name."""
    found: set[type[BaseModel]] = set()
    for operation in operations:
        found.add(operation.error or Error)
        found |= {operation.body} if isinstance(operation.body, type) else set()
        for response in operation.responses.values():
            found |= {model for model in (response.body, response.event) if model}
    models = sorted(found, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    return schemas["$defs"]


def _operation(rule: Rule, method: str, operation: Operation, doc: str) -> dict[str, Any]:
    summary, _, description = doc.partition("\n")
    in_path = set(rule.arguments)
    described: dict[str, Any] = {
        "operationId": f"{method}_{path_of(rule).strip('/') or 'root'}".translate(
            str.maketrans({"/": "_", "{": "", "}": "", ".": "_"})
        ),
        "summary": summary.rstrip("."),
        "description": "\n".join(line.strip() for line in description.strip().splitlines()),
        "parameters": [
            _parameter(parameter)
            for parameter in operation.parameters
            if parameter.where != "path" or parameter.name in in_path
        ],
        "responses": _responses(operation),
    }
    if operation.body:
        described["requestBody"] = _request_body(operation.body, operation.media)
    if operation.keys:
        described["security"] = [{scheme: []} for scheme in operation.keys]
        if isinstance(operation.body, str):
            described["security"].append(KEY_IN_THE_BODY)
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.where == "path",
        "schema": dict(parameter.schema),
    }


def _request_body(body: JobKind | type[BaseModel], media: Iterable[str]) -> dict[str, Any]:
    if isinstance(body, str):
        return request_body(body)
    return {"required": True, "content": {each: {"schema": _reference(body)} for each in media}}


def _responses(operation: Operation) -> dict[str, Any]:
    codes = (*operation.errors, *ERRORS_OF_ALL)
    errors = {code: replace(ERRORS[code], body=operation.error or Error) for code in codes}
    responses: Mapping[int, ApiResponse] = errors | dict(operation.responses)
    return {str(int(code)): _response(responses[code]) for code in sorted(responses)}


def _response(response: ApiResponse) -> dict[str, Any]:
    described: dict[str, Any] = {"description": response.description}
    content: dict[str, Any] = {media: {} for media in response.media}
    if response.body:
        content["application/json"] = {"schema": _reference(response.body)}
    if content:
        described["content"] = content
    if response.headers:
        described["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}}
            for name, meaning in response.headers.items()
        }
    if response.job:
        described["links"] = {
            "status": {
                "operationId": "get_status_job_id",
                "parameters": {"job_id": "$response.body#/task_id"},
            }
        }
    return described


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
