"""The API key: where it may be, and that without it nothing is revealed."""

import base64

import pytest
from flask.testing import FlaskClient

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from tests.api.conftest import HandWorker

BODY = {"prompt": "a cat"}


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": DUMMY_KEY},
        {"Authorization": f"Bearer {DUMMY_KEY}"},
        {"Authorization": f"bearer {DUMMY_KEY}"},
        {"X-API-Key": "ключ".encode().decode("latin-1")},
        basic(f"anybody:{DUMMY_KEY}"),
        basic(":ключ"),
        {
            "Authorization": "Basic "
            + base64.b64encode(f"zoë:{DUMMY_KEY}".encode("latin-1")).decode()
        },
    ],
)
def test_a_key_in_a_header_lets_in(
    client: FlaskClient, worker: HandWorker, headers: dict[str, str]
) -> None:
    assert client.post("/generate", json=BODY, headers=headers).status_code == 202


def test_a_key_in_the_body_lets_in(client: FlaskClient, worker: HandWorker) -> None:
    for key in (DUMMY_KEY, "ключ"):
        assert client.post("/generate", json={**BODY, "api_key": key}).status_code == 202


@pytest.mark.parametrize(
    "key", ["", "wrong", ["x"], None, "é", 5, {"a": 1}, True, "x" * 900_000, "\ud800"]
)
def test_a_wrong_key_is_refused_before_any_other_fault_is_told(
    client: FlaskClient, worker: HandWorker, key: object
) -> None:
    answer = client.post("/generate", json={"W": -1, "sheep": 1, "api_key": key})

    assert answer.status_code == 401
    assert answer.get_json() == {"error": "Unauthorized", "details": []}


@pytest.mark.parametrize(
    "headers",
    [
        basic(f"{DUMMY_KEY}:"),
        basic(DUMMY_KEY),
        basic("anybody:wrong"),
        {"Authorization": f"Basic anybody:{DUMMY_KEY}"},
        {"Authorization": "Basic gA=="},
        {"Authorization": "Basic"},
    ],
)
def test_basic_authentication_without_a_key_as_its_password_is_refused(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    answer = client.post("/generate", json=BODY, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("key", [["x"], {}, 5])
def test_what_cannot_be_a_key_is_a_fault_of_the_body_when_a_header_lets_in(
    client: FlaskClient, worker: HandWorker, key: object
) -> None:
    body = {**BODY, "W": 63, "api_key": key}

    answer = client.post("/generate", json=body, headers={"X-API-Key": DUMMY_KEY})

    assert answer.status_code == 400
    faults = {fault["field"]: fault["code"] for fault in answer.get_json()["details"]}
    assert faults == {"W": "multiple_of", "api_key": "type"}


def test_a_key_of_null_is_omitted(client: FlaskClient, worker: HandWorker) -> None:
    body = {"prompt": "a", "api_key": None}
    assert client.post("/generate", json=body, headers={"X-API-Key": DUMMY_KEY}).status_code == 202
    assert client.post("/generate", json=body).status_code == 401


def test_no_key_at_all_is_refused(client: FlaskClient) -> None:
    assert client.post("/generate", json=BODY).status_code == 401
    assert client.post("/img2img", json={}).status_code == 401


def test_the_key_is_kept_neither_in_the_record_nor_in_the_log(
    client: FlaskClient, worker: HandWorker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        client.post("/generate", json={**BODY, "api_key": DUMMY_KEY})
        client.post("/generate", json={**BODY, "W": 1, "api_key": DUMMY_KEY})

    claim, _ = worker.claim()
    assert DUMMY_KEY not in repr(claim)
    assert DUMMY_KEY not in caplog.text


def test_the_dummy_key_is_announced_loudly(
    settings: ApiSettings, caplog: pytest.LogCaptureFixture
) -> None:
    create_app(settings)
    assert "DUMMY" in caplog.text

    caplog.clear()
    create_app(settings.model_copy(update={"api_keys": ("my own",)}))
    assert not caplog.text


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "one, two,")

    assert ApiSettings().api_keys == ("one", "two")


def test_without_keys_in_the_environment_the_dummy_key_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("API_KEYS", "")

    assert ApiSettings().api_keys == (DUMMY_KEY,)
