"""What every answer carries against other pages, and against caches that others read."""

import re

import pytest
from flask.testing import FlaskClient

from api.auth import DUMMY_KEY
from tests.api.conftest import HandWorker

KEY = {"X-API-Key": DUMMY_KEY}


@pytest.mark.parametrize(
    "path",
    ["/docs/", "/docs/index.html", "/docs/swagger-ui-bundle.js", "/docs/none", "/", "/recent"],
)
def test_every_page_has_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path, headers={"Accept": "text/html"}).headers

    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_only_swagger_s_page_may_have_its_one_inline_script_and_style(client: FlaskClient) -> None:
    def hashes(path: str) -> list[str]:
        policy = client.get(path, headers={"Accept": "text/html"}).headers
        return re.findall(r"(\S+) 'self' 'sha256-[^']+'", policy["Content-Security-Policy"])

    assert hashes("/docs/") == ["script-src", "style-src"]
    assert hashes("/") == hashes("/recent") == hashes("/docs/oauth2-redirect.html") == []


@pytest.mark.parametrize("as_base64", [True, False])
def test_no_shared_cache_keeps_what_belongs_to_one_key_or_job(
    client: FlaskClient, worker: HandWorker, as_base64: bool
) -> None:
    body = {"prompt": "a cat", "W": 64, "H": 64, "return_base64": as_base64}
    accepted = client.post("/generate", json=body, headers=KEY)
    worker.draw()
    job = accepted.get_json()["task_id"]
    answers = [
        accepted,
        client.get(f"/status/{job}"),
        client.get(f"/status/{job}?images=false"),
        client.get(f"/images/{job}/0"),
        client.get(f"/images/{job}/0/thumbnail"),
        client.get("/recent?facts=true", headers=KEY),
        client.get("/recent"),
        client.get("/status/none"),
        client.delete(f"/status/{job}", headers=KEY),
    ]
    assert [answer.status_code for answer in answers] == [
        202,
        200,
        200,
        200,
        200,
        200,
        401,
        404,
        200,
    ]
    for answer in answers:
        assert answer.cache_control.private, answer
        assert answer.cache_control.no_store is (answer.mimetype == "application/json")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
