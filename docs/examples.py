"""An example of every operation, made from the OpenAPI document; `docs.postman` and
`docs.http_file` write them down.

A body is one of `templates/`, without its key: the header carries it.
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
"""What a user of the examples sets, and what it is until then."""
IN_THE_PATH = {
    "job_id": "{{job_id}}",
    "number": "0",
    "name": "txt2img-standard",
    "path": "swagger-ui.css",
    "file": "generate.js",
}
"""What stands for a part of a path; {{...}} is a variable. A new part needs a value here."""
BY_THEMSELVES = {"images": "false", "Idempotency-Key": "one-of-your-own"}
"""What an optional parameter is, where one is shown; others are empty."""


@dataclass(frozen=True)
class Optional:
    """A parameter that may be left out, and is."""

    name: str
    where: str
    value: str
    means: str


@dataclass(frozen=True, kw_only=True)
class Example:
    """A request that can be sent.

    Attributes:
        operation: the OpenAPI `operationId`.
        name: one for each example.
        summary: a sentence.
        method: in capitals.
        path: as OpenAPI writes it, with {parts}.
        parts: a value for each part.
        optional: its optional parameters.
        body: JSON, if it has one.
        key: it needs a key.
        job: its answer names a job.
    """

    operation: str
    name: str
    summary: str
    method: str
    path: str
    parts: dict[str, str]
    optional: tuple[Optional, ...]
    body: dict[str, Any] | None
    key: bool
    job: bool

    @property
    def text(self) -> str:
        """The body as text; empty if there is none."""
        return "" if self.body is None else json.dumps(self.body, indent=2, ensure_ascii=False)


def openapi() -> dict[str, Any]:
    """The document of a service with the defaults of all settings. Nothing is connected."""
    settings = ApiSettings(_env_file=None)  # pyright: ignore[reportCallIssue]
    log = logging.getLogger("api")
    before, log.disabled = log.disabled, True  # it warns of the dummy key
    try:
        return document(create_app(settings), settings.limits)
    finally:
        log.disabled = before


def examples(described: dict[str, Any]) -> Iterator[Example]:
    """One for each operation of an OpenAPI document, and one for each template it has."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield from _examples(path, method, operation)


def _examples(path: str, method: str, operation: dict[str, Any]) -> Iterator[Example]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    bodies: dict[str, Any] = content.get("examples") or {"": None}
    for which, example in bodies.items():
        yield Example(
            operation=operation["operationId"],
            name=f"{method.upper()} {path}" + (f" ({which})" if which else ""),
            summary=operation["summary"],
            method=method.upper(),
            path=path,
            parts={
                parameter["name"]: IN_THE_PATH[parameter["name"]]
                for parameter in operation["parameters"]
                if parameter["in"] == "path"
            },
            optional=tuple(
                Optional(
                    parameter["name"],
                    parameter["in"],
                    BY_THEMSELVES.get(parameter["name"], ""),
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
