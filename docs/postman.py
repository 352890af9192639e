"""The examples as a Postman collection, format 2.1."""

import json
from collections.abc import Iterable
from typing import Any

from docs.examples import VARIABLES, Example, Optional

SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
DESCRIPTION = """\
Set the variables `address` and `api_key` of this collection. A request that queues a job keeps its
id in the variable `job_id`, which the others use. Written by `make docs`.
"""
KEEP_THE_ID = [
    "const answer = pm.response.json();",
    "if (answer.task_id) pm.collectionVariables.set('job_id', answer.task_id);",
]
KEY = {
    "type": "apikey",
    "apikey": [
        {"key": "key", "value": "X-API-Key", "type": "string"},
        {"key": "value", "value": "{{api_key}}", "type": "string"},
        {"key": "in", "value": "header", "type": "string"},
    ],
}
NO_KEY = {"type": "noauth"}


def collection(examples: Iterable[Example]) -> str:
    """The collection as its file's text."""
    described = {
        "info": {
            "name": "Stable Diffusion service",
            "description": DESCRIPTION,
            "schema": SCHEMA,
        },
        "auth": KEY,
        "variable": [
            {"key": name, "value": value, "type": "string"} for name, value in VARIABLES.items()
        ],
        "item": [_item(example) for example in examples],
    }
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def _item(example: Example) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": example.method,
        "description": example.summary,
        "auth": KEY if example.key else NO_KEY,
        "header": _optional(example, "header"),
        "url": _url(example),
    }
    if example.body is not None:
        request["header"].insert(0, {"key": "Content-Type", "value": "application/json"})
        options = {"raw": {"language": "json"}}
        request["body"] = {"mode": "raw", "raw": example.text, "options": options}
    item: dict[str, Any] = {"name": example.name, "request": request, "response": []}
    if example.job:
        script = {"type": "text/javascript", "exec": KEEP_THE_ID}
        item["event"] = [{"listen": "test", "script": script}]
    return item


def _url(example: Example) -> dict[str, Any]:
    path = example.path.replace("{", ":").replace("}", "")
    url: dict[str, Any] = {
        "raw": "{{address}}" + path,
        "host": ["{{address}}"],
        "path": path.removeprefix("/").split("/"),
    }
    if example.parts:
        url["variable"] = [{"key": name, "value": value} for name, value in example.parts.items()]
    if query := _optional(example, "query"):
        url["query"] = query
    return url


def _optional(example: Example, where: str) -> list[dict[str, Any]]:
    """Parameters to be switched on by hand."""
    return [_switched_off(one) for one in example.optional if one.where == where]


def _switched_off(one: Optional) -> dict[str, Any]:
    return {"key": one.name, "value": one.value, "description": one.means, "disabled": True}
