"""An example of every operation, derived from the OpenAPI document.

`docs.postman` and `docs.http_file` write the examples down. A body is one of `templates/` without
its `api_key`; the key goes into a header.
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from api import create_app
from api.auth import DUMMY_KEY
from api.openapi import document
from api.settings import ApiSettings

ADDRESS = "http://127.0.0.1:5001"
VARIABLES = {"address": ADDRESS, "api_key": DUMMY_KEY, "job_id": "the-task_id-of-a-job"}
"""The variables of the examples with their initial values."""
PATH_VALUES = {
    "job_id": "{{job_id}}",
    "number": "0",
    "name": "txt2img-standard",
    "path": "swagger-ui.css",
    "file": "generate.js",
    "dialect": "openai",
}
"""A value for each path parameter; {{...}} is a variable. A new parameter needs a value here."""
OPTIONAL_VALUES = {"images": "false", "Idempotency-Key": "one-of-your-own"}
"""Example values of optional parameters; parameters that are missing here stay empty."""


@dataclass(frozen=True)
class OptionalParameter:
    """A query parameter or header that the example leaves out."""

    name: str
    where: str
    value: str
    means: str


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request that can be sent.

    Attributes:
        operation: the OpenAPI `operationId`.
        name: unique among the examples.
        summary: one sentence.
        method: in capitals.
        path: as in OpenAPI, with {parameters}.
        path_values: a value for each path parameter.
        optional: the optional parameters.
        body: the JSON body; None if the operation takes none.
        key: the operation needs an API key.
        job: the answer contains the `task_id` of a job.
    """

    operation: str
    name: str
    summary: str
    method: str
    path: str
    path_values: dict[str, str]
    optional: tuple[OptionalParameter, ...]
    body: dict[str, Any] | None
    key: bool
    job: bool

    @property
    def text(self) -> str:
        """The body as text; empty if there is none."""
        return "" if self.body is None else json.dumps(self.body, indent=2, ensure_ascii=False)


def openapi() -> dict[str, Any]:
    """The OpenAPI document of a service with default settings. Opens no connection."""
    settings = ApiSettings(_env_file=None)  # pyright: ignore[reportCallIssue]
    log = logging.getLogger("api")
    before, log.disabled = log.disabled, True  # suppress the warning about the dummy key
    try:
        return document(create_app(settings), settings.limits)
    finally:
        log.disabled = before


def examples(described: dict[str, Any]) -> Iterator[Example]:
    """One example per operation of an OpenAPI document, or one per template of its body."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield from _examples(path, method, operation, described["components"]["schemas"])


def _examples(
    path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]
) -> Iterator[Example]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    model = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    of_model = [{"value": each} for each in schemas.get(model, {}).get("examples", ())]
    bodies: dict[str, Any] = content.get("examples") or {"": next(iter(of_model), None)}
    for template, example in bodies.items():
        yield Example(
            operation=operation["operationId"],
            name=f"{method.upper()} {path}" + (f" ({template})" if template else ""),
            summary=operation["summary"],
            method=method.upper(),
            path=path,
            path_values={
                parameter["name"]: PATH_VALUES[parameter["name"]]
                for parameter in operation["parameters"]
                if parameter["in"] == "path"
            },
            optional=tuple(
                OptionalParameter(
                    parameter["name"],
                    parameter["in"],
                    OPTIONAL_VALUES.get(parameter["name"], ""),
                    parameter["description"],
                )
                for parameter in operation["parameters"]
                if parameter["in"] != "path"
            ),
            body=_without_key(example["value"]) if example else None,
            key=bool(operation.get("security")),
            job=any("links" in answer for answer in operation["responses"].values()),
        )


def _without_key(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "api_key"}
