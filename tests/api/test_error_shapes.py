"""Errors at addresses that no view has: in the shape of the dialect whose addresses begin so."""

from typing import Any

import pytest
from flask.testing import FlaskClient

OPENAI = {"error": {"type": "invalid_request_error", "param": None}}
A1111 = {"error": "HTTPException", "body": ""}
NATIVE = {"details": []}


@pytest.mark.parametrize(
    ("method", "path", "status", "shape"),
    [
        ("POST", "/v1/chat/completions", 404, OPENAI),
        ("GET", "/v1", 404, OPENAI),
        ("GET", "/v1/images/generations", 405, OPENAI),
        ("DELETE", "/v1/models", 405, OPENAI),
        ("GET", "/sdapi/v1/no-such-thing", 404, A1111),
        ("GET", "/sdapi/v1/txt2img", 405, A1111),
        ("POST", "/controlnet/detect", 404, A1111),
        ("GET", "/no-such-thing", 404, NATIVE),
        ("GET", "/v10/models", 404, NATIVE),
        ("GET", "/generate", 405, NATIVE),
    ],
)
def test_an_unknown_address_is_answered_in_its_dialect_s_shape(
    client: FlaskClient, method: str, path: str, status: int, shape: dict[str, Any]
) -> None:
    answer = client.open(path, method=method)

    assert answer.status_code == status
    found = answer.get_json()
    assert _part(found, shape) == shape
    assert ("Allow" in answer.headers) == (status == 405)


def _part(found: Any, shape: Any) -> Any:
    """What has the keys of a shape."""
    if not isinstance(shape, dict):
        return found
    return {name: _part(found[name], inner) for name, inner in shape.items()}
