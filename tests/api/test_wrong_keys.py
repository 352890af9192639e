"""Wrong keys are counted for each address."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs.environment import read_settings
from tests.api.conftest import HandWorker

ALLOWED = 3
KEY = {"X-API-Key": DUMMY_KEY}
WRONG = {"X-API-Key": "wrong"}


def client_of(settings: ApiSettings, **changed: Any) -> FlaskClient:
    limited = {"wrong_key_limit": f"{ALLOWED}/minute", **changed}
    return create_app(settings.model_copy(update=limited)).test_client()


def guess(client: FlaskClient, address: str = "127.0.0.1", **headers: str) -> int:
    """The status of a request with a wrong key from an address."""
    sender = {"REMOTE_ADDR": address}
    return client.get("/recent", headers={**WRONG, **headers}, environ_base=sender).status_code


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": "/generate", "method": "POST", "headers": WRONG},
        {"path": "/generate", "method": "POST", "json": {"prompt": "a", "api_key": "wrong"}},
        {"path": "/img2img", "method": "POST", "json": {"api_key": ["wrong"]}},
        {"path": "/img2img", "method": "POST", "json": {}},
        {"path": "/cancel/x", "method": "POST", "headers": {"Authorization": "Bearer wrong"}},
        {"path": "/status/x", "method": "DELETE", "json": {"api_key": "wrong"}},
        {"path": "/recent", "query_string": {"api_key": "wrong"}},
    ],
)
def test_wherever_the_wrong_key_is_the_next_ones_are_refused(
    settings: ApiSettings, worker: HandWorker, wrong: dict[str, Any]
) -> None:
    client = client_of(settings)
    answers = [client.open(**wrong) for _ in range(ALLOWED + 2)]

    assert [answer.status_code for answer in answers] == [401] * ALLOWED + [429] * 2
    assert answers[-1].headers["Retry-After"].isdigit()
    assert answers[-1].get_json().keys() == {"error", "details"}
    assert client.post("/generate", json={"prompt": "a"}, headers=KEY).status_code == 202
    assert client.get("/recent", query_string={"api_key": DUMMY_KEY}).status_code == 200
    assert client.post("/generate", json={"prompt": "a", "api_key": DUMMY_KEY}).status_code == 429


def test_asking_without_any_key_is_no_guess(settings: ApiSettings) -> None:
    client = client_of(settings)
    assert {client.get("/recent").status_code for _ in range(ALLOWED + 2)} == {401}
    assert guess(client) == 401


def test_a_wrong_key_in_a_header_counts_more_than_a_right_one_in_the_body(
    settings: ApiSettings, worker: HandWorker
) -> None:
    body = {"prompt": "a", "api_key": DUMMY_KEY}
    assert client_of(settings).post("/generate", json=body, headers=WRONG).status_code == 401


def test_another_address_is_not_refused_but_one_s_own_network_is(settings: ApiSettings) -> None:
    client = client_of(settings)
    for address, next_address, others in (
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.9", "192.0.2.9", "::ffff:192.0.2.8"),
    ):
        assert {guess(client, address) for _ in range(ALLOWED)} == {401}
        assert guess(client, next_address) == 429
        assert guess(client, others) == 401


def test_the_header_of_a_proxy_tells_the_address_only_where_proxies_are_trusted(
    settings: ApiSettings,
) -> None:
    def guesses(proxies: int, *forwarded: str) -> list[int]:
        client = client_of(settings, trusted_proxies=proxies)
        first = [guess(client, X_Forwarded_For=forwarded[0]) for _ in range(ALLOWED)]
        assert first == [401] * ALLOWED
        return [guess(client, X_Forwarded_For=chain) for chain in forwarded]

    assert guesses(0, "192.0.2.1", "192.0.2.2") == [429, 429]
    assert guesses(1, "192.0.2.1", "192.0.2.2") == [429, 401]
    # what the client itself has put there is not believed
    assert guesses(1, "198.51.100.1, 192.0.2.1", "198.51.100.2, 192.0.2.1") == [429, 429]
    assert guesses(2, "192.0.2.1, 10.0.0.1", "192.0.2.2, 10.0.0.1") == [429, 401]


@pytest.mark.parametrize(
    ("name", "value"),
    [("WRONG_KEY_LIMIT", "often"), ("TRUSTED_PROXIES", "-1"), ("RECENT_OF", "mine")],
)
def test_a_wrong_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"{name}='{value}'"):
        read_settings(ApiSettings)
