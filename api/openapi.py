"""The OpenAPI document of an application: made from its routes, so that none can be missing."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from api.operations import ERRORS, Answer, Operation, Parameter, operation_of
from api.request_bodies import body_schemas, request_body
from jobs.limits import Limits

VERSION = "0.1.0"
DESCRIPTION = """\
JSON in, pictures out. POST a request to `/generate` or `/img2img`, follow `Location`, and fetch
the pictures when the job is done.

The key goes into the header `X-API-Key`, into `Authorization: Bearer`, or into the body as
`api_key`. All faults of a body are told at once, each with its field.
"""
KEY_IN_THE_BODY: dict[str, list[str]] = {}
"""A security requirement of no header: the body carries the key instead."""
SECURITY_SCHEMES = {
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "an API key as the token"},
    "query": {"type": "apiKey", "in": "query", "name": "api_key"},
}
_REF = "#/components/schemas/{model}"
_PART_OF_PATH = re.compile(r"<(?:\w+:)?(\w+)>")


def document(app: Flask, limits: Limits) -> dict[str, Any]:
    """The document of every route of `app`.

    Args:
        app: with all its routes; a view that says nothing of itself is a KeyError.
        limits: the caps on one request, which bound some of its fields.
    """
    schemas = _schemas(operation for _, _, operation in _operations(app))
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, operation in _operations(app):
        view = app.view_functions[rule.endpoint]
        described = _operation(rule, method, operation, view.__doc__ or operation.does)
        paths.setdefault(path_of(rule), {})[method] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Stable Diffusion service",
            "version": VERSION,
            "description": DESCRIPTION,
        },
        "paths": paths,
        "components": {
            "schemas": schemas | body_schemas(limits),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def path_of(rule: Rule) -> str:
    """A route's path as OpenAPI writes it."""
    return _PART_OF_PATH.sub(r"{\1}", rule.rule)


def methods_of(rule: Rule) -> list[str]:
    """The methods that a route was written for; HEAD and OPTIONS come with Flask."""
    return sorted(method.lower() for method in (rule.methods or set()) - {"HEAD", "OPTIONS"})


def _operations(app: Flask) -> Iterator[tuple[Rule, str, Operation]]:
    for rule in app.url_map.iter_rules():
        for method in methods_of(rule):
            yield rule, method, operation_of(app.view_functions[rule.endpoint])


def _schemas(operations: Iterator[Operation]) -> dict[str, Any]:
    """The schemas of all answers, by name."""
    answers = [answer for operation in operations for answer in operation.answers.values()]
    answers += ERRORS.values()
    said = {model for answer in answers for model in (answer.body, answer.event) if model}
    models = sorted(said, key=lambda model: model.__name__)
    _, found = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
    return found["$defs"]


def _operation(rule: Rule, method: str, operation: Operation, doc: str) -> dict[str, Any]:
    summary, _, description = doc.partition("\n")
    wanted = set(rule.arguments)
    described: dict[str, Any] = {
        "operationId": f"{method}_{path_of(rule).strip('/') or 'root'}".translate(
            str.maketrans({"/": "_", "{": "", "}": "", ".": "_"})
        ),
        "summary": summary.rstrip("."),
        "description": "\n".join(line.strip() for line in description.strip().splitlines()),
        "parameters": [
            _parameter(parameter)
            for parameter in operation.parameters
            if parameter.where != "path" or parameter.name in wanted
        ],
        "responses": _responses(operation),
    }
    if operation.body:
        described["requestBody"] = request_body(operation.body)
    if operation.keys:
        described["security"] = [{scheme: []} for scheme in operation.keys]
        if operation.body:
            described["security"].append(KEY_IN_THE_BODY)
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.means,
        "required": parameter.where == "path",
        "schema": dict(parameter.schema),
    }


def _responses(operation: Operation) -> dict[str, Any]:
    errors = {code: ERRORS[code] for code in (*operation.errors, HTTPStatus.INTERNAL_SERVER_ERROR)}
    answers: Mapping[int, Answer] = errors | dict(operation.answers)
    return {str(int(code)): _response(answers[code]) for code in sorted(answers)}


def _response(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.means}
    content: dict[str, Any] = {media: {} for media in answer.media}
    if answer.body:
        content["application/json"] = {"schema": _reference(answer.body)}
    if content:
        described["content"] = content
    if answer.headers:
        described["headers"] = {
            name: {"description": means, "schema": {"type": "string"}}
            for name, means in answer.headers.items()
        }
    if answer.job:
        described["links"] = {
            "status": {
                "operationId": "get_status_job_id",
                "parameters": {"job_id": "$response.body#/task_id"},
            }
        }
    return described


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}
