"""Pages of other origins."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from flask.testing import FlaskClient
from pydantic import ValidationError

from api import create_app
from api.auth import DUMMY_KEY
from api.job_service import JobService
from api.settings import ApiSettings
from tests.api.conftest import HandWorker
from tests.api.serving import RunningApi

APP = "https://app.example"
EVERY_PATH = ("/", "/generate", "/generate/", "/status/x", "/events/x", "/images/x/0", "/nothing")


def of(settings: ApiSettings, *origins: str) -> FlaskClient:
    """A client of an API with these CORS_ORIGINS."""
    return create_app(settings.model_copy(update={"cors_origins": origins})).test_client()


def preflight(client: FlaskClient, path: str, origin: str = APP):
    return client.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-api-key,idempotency-key",
        },
    )


def allowed(answer: httpx.Response | object) -> str | None:
    return answer.headers.get("Access-Control-Allow-Origin")  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", EVERY_PATH)
def test_a_preflight_is_answered_on_every_route_without_a_key(
    settings: ApiSettings, path: str
) -> None:
    answer = preflight(of(settings, APP), path)

    assert (answer.status_code, answer.data, allowed(answer)) == (204, b"", APP)
    assert "Origin" in answer.headers["Vary"]
    methods = answer.headers["Access-Control-Allow-Methods"].split(", ")
    assert {"GET", "POST", "DELETE"} <= set(methods)
    headers = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    wanted = {"content-type", "x-api-key", "authorization", "idempotency-key", "last-event-id"}
    wanted |= {"x-requested-with"}
    assert wanted <= set(headers)
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_errors_and_answers_say_that_the_page_may_read_them(
    settings: ApiSettings, worker: HandWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = of(settings, APP)
    origin = {"Origin": APP}
    key = {"X-API-Key": DUMMY_KEY, **origin}
    accepted = client.post("/generate", json={"prompt": "a"}, headers=key)
    monkeypatch.setattr(JobService, "served", lambda _: 1 / 0)
    answers = {
        202: accepted,
        400: client.post("/generate", json={}, headers=key),
        401: client.post("/generate", json={}, headers=origin),
        404: client.get("/nothing", headers=origin),
        405: client.get("/generate", headers=origin),
        413: client.post("/generate", json={"prompt": "a" * 1024**2}, headers=key),
        415: client.post("/generate", data=b"a", headers=key),
        421: client.get("/models", headers={"Host": "evil.example", **origin}),
        500: client.get("/capabilities", headers=origin),
    }
    for _ in range(12):
        answers[429] = client.post("/generate", json={}, headers=origin)

    for status, answer in answers.items():
        assert answer.status_code == status
        assert allowed(answer) == APP
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers["Vary"]


def test_an_event_stream_may_be_read(settings: ApiSettings, worker: HandWorker) -> None:
    client = of(settings, APP)
    key = {"X-API-Key": DUMMY_KEY}
    location = client.post("/generate", json={"prompt": "a"}, headers=key).headers["Location"]
    worker.draw()
    events = client.get(location.replace("status", "events"), headers={"Origin": APP})

    assert (events.mimetype, allowed(events)) == ("text/event-stream", APP)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example",
        f"{APP}:8443",
        f"{APP}.evil.example",
        "null",
        "",
    ],
)
def test_other_origins_are_not_allowed(settings: ApiSettings, origin: str) -> None:
    client = of(settings, APP)
    for answer in (preflight(client, "/generate", origin), client.get("/templates")):
        assert allowed(answer) is None
        assert "Origin" in answer.headers["Vary"]


def test_a_star_allows_every_origin(settings: ApiSettings) -> None:
    assert allowed(preflight(of(settings, "*"), "/generate", "https://any.example")) == "*"


def test_by_default_none_is_allowed(client: FlaskClient) -> None:
    for answer in (
        preflight(client, "/generate"),
        client.get("/templates", headers={"Origin": APP}),
    ):
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_origins_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://App.example/, http://localhost:3000,null")
    assert ApiSettings().cors_origins == (APP, "http://localhost:3000", "null")


@pytest.mark.parametrize("wrong", ["app.example", "https://", f"{APP}/page", "https://*.example"])
def test_what_no_browser_sends_as_an_origin_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="is no origin"):
        ApiSettings(cors_origins=(wrong,))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningApi]:
    environment = {"DATA_DIR": str(tmp_path), "CORS_ORIGINS": APP}
    with RunningApi(environment, tmp_path / "log") as running:
        yield running


@pytest.mark.service
def test_a_real_server_answers_a_preflight(api: RunningApi) -> None:
    asked = {"Origin": APP, "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{api.url}/generate", headers=asked, trust_env=False, timeout=60)

    assert (answer.status_code, answer.content, allowed(answer)) == (204, b"", APP)


def test_openai_s_sdk_may_send_its_headers_and_read_ours(settings: ApiSettings) -> None:
    client = of(settings, APP)
    asked = preflight(client, "/v1/images/generations")
    refused = client.post("/v1/images/generations", json={}, headers={"Origin": APP})

    sent = asked.headers["Access-Control-Allow-Headers"].split(", ")
    assert {"*", "Authorization"} <= set(sent)  # x-stainless-lang and its like
    read = refused.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"X-Should-Retry", "X-Request-Id"} <= set(read)
