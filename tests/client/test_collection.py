"""The Postman collection and the .http file have every operation, and each succeeds."""

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
import jsonschema
import pytest

from api.auth import DUMMY_KEY
from docs.examples import openapi
from docs.generate import HTTP_FILE, POSTMAN

PAIR = {
    "type": "object",
    "required": ["key", "value"],
    "properties": {
        "key": {"type": "string"},
        "value": {"type": "string"},
        "description": {"type": "string"},
        "disabled": {"type": "boolean"},
        "type": {"const": "string"},
    },
    "additionalProperties": False,
}
PAIRS = {"type": "array", "items": PAIR}
AUTH = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": {"enum": ["apikey", "noauth"]}, "apikey": PAIRS},
    "additionalProperties": False,
}
FORMAT = {
    "type": "object",
    "required": ["info", "item"],
    "properties": {
        "info": {
            "type": "object",
            "required": ["name", "schema"],
            "properties": {
                "schema": {
                    "const": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
                }
            },
        },
        "auth": AUTH,
        "variable": PAIRS,
        "item": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "request"],
                "properties": {
                    "name": {"type": "string"},
                    "event": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["listen", "script"],
                            "properties": {
                                "listen": {"enum": ["test", "prerequest"]},
                                "script": {
                                    "type": "object",
                                    "required": ["type", "exec"],
                                    "properties": {
                                        "type": {"const": "text/javascript"},
                                        "exec": {"type": "array", "items": {"type": "string"}},
                                    },
                                },
                            },
                        },
                    },
                    "response": {"type": "array"},
                    "request": {
                        "type": "object",
                        "required": ["method", "url"],
                        "properties": {
                            "method": {"enum": ["GET", "POST", "DELETE"]},
                            "description": {"type": "string"},
                            "auth": AUTH,
                            "header": PAIRS,
                            "url": {
                                "type": "object",
                                "required": ["raw", "host", "path"],
                                "properties": {
                                    "raw": {"type": "string"},
                                    "host": {"type": "array", "items": {"type": "string"}},
                                    "path": {"type": "array", "items": {"type": "string"}},
                                    "query": PAIRS,
                                    "variable": PAIRS,
                                },
                                "additionalProperties": False,
                            },
                            "body": {
                                "type": "object",
                                "required": ["mode", "raw"],
                                "properties": {
                                    "mode": {"const": "raw"},
                                    "raw": {"type": "string"},
                                    "options": {"type": "object"},
                                },
                                "additionalProperties": False,
                            },
                        },
                        "additionalProperties": False,
                    },
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
"""The part of Postman's format 2.1 that the collection uses; other keys are mistakes."""


@dataclass(frozen=True)
class FilledRequest:
    """A request with its variables filled in."""

    name: str
    method: str
    url: str
    key: str | None
    body: str


def of_postman(**variables: str) -> list[FilledRequest]:
    """The requests that Postman sends."""
    described = json.loads(POSTMAN.read_text())
    values = {one["key"]: one["value"] for one in described["variable"]} | variables
    ready: list[FilledRequest] = []
    for item in described["item"]:
        request = item["request"]
        url = request["url"]
        parts = {one["key"]: one["value"] for one in url.get("variable", [])}
        path = "/".join(parts[part[1:]] if part.startswith(":") else part for part in url["path"])
        auth = {one["key"]: one["value"] for one in request["auth"].get("apikey", [])}
        ready.append(
            FilledRequest(
                item["name"],
                request["method"],
                filled(f"{url['host'][0]}/{path}", values),
                filled(auth["value"], values) if auth else None,
                filled(request.get("body", {}).get("raw", ""), values),
            )
        )
    return ready


def of_http_file(**variables: str) -> list[FilledRequest]:
    """The requests that an editor sends."""
    head, *requests = HTTP_FILE.read_text().split("\n### ")
    values = dict(re.findall(r"^@(\w+) = (.*)$", head, re.MULTILINE)) | variables
    ready: list[FilledRequest] = []
    for request in requests:
        lines, _, body = request.partition("\n\n")
        name, *others = lines.splitlines()
        first, *headers = [line for line in others if not line.startswith("#")]
        method, url = first.split(" ", 1)
        sent = dict(header.split(": ", 1) for header in headers)
        key = filled(sent["X-API-Key"], values) if "X-API-Key" in sent else None
        ready.append(
            FilledRequest(name, method, filled(url, values), key, filled(body.strip(), values))
        )
    return ready


def filled(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda variable: values[variable[1]], text)


def test_the_collection_is_of_the_format_of_postman() -> None:
    jsonschema.validate(json.loads(POSTMAN.read_text()), FORMAT)


def test_both_files_have_the_same_requests_for_every_operation() -> None:
    document: dict[str, Any] = openapi()
    operations = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }

    assert {ready.name.partition(" (")[0] for ready in of_postman()} == operations
    assert of_postman() == of_http_file()
    assert len({ready.name for ready in of_postman()}) == len(of_postman())


def test_the_raw_url_is_the_url_that_is_sent() -> None:
    for item in json.loads(POSTMAN.read_text())["item"]:
        url = item["request"]["url"]
        assert url["raw"] == "/".join([*url["host"], *url["path"]])


@pytest.mark.service
def test_every_request_gets_a_documented_answer(small_service: str) -> None:
    documented = openapi()["paths"]
    job_id = "none yet"
    with httpx.Client(trust_env=False, timeout=60) as client:
        for number, name in enumerate(ready.name for ready in of_postman()):
            request = of_postman(address=small_service, job_id=job_id)[number]
            method, path = name.partition(" (")[0].split(" ")

            headers = {"X-API-Key": request.key} if request.key else {}
            headers |= {"Content-Type": "application/json"} if request.body else {}

            answer = client.request(
                request.method,
                request.url,
                headers=headers,
                content=request.body or None,
            )

            assert str(answer.status_code) in documented[path][method.lower()]["responses"], name
            assert answer.status_code not in REFUSED, f"{name}: {answer.text}"
            if answer.status_code == HTTPStatus.ACCEPTED and request.body:
                assert request.key == DUMMY_KEY
                job_id = answer.json()["task_id"]


REFUSED = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
}
