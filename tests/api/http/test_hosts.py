"""Which names in the Host header are answered."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from flask.testing import FlaskClient

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from tests.api.serving import RunningApi

STRANGE = ["evil.example", "evil.example:5001", "localhost.evil.example", "127.0.0.1.nip.io", ""]
OTHERS_ADDRESS = {"SERVER_NAME": "0.0.0.0"}


def get(client: FlaskClient, host: str, path: str = "/capabilities", **environ: str) -> int:
    """The status of a request by that name."""
    return client.get(path, headers={"Host": host}, environ_overrides=environ).status_code


def of(settings: ApiSettings, *allowed: str) -> FlaskClient:
    """A client of an API with these ALLOWED_HOSTS."""
    return create_app(settings.model_copy(update={"allowed_hosts": allowed})).test_client()


@pytest.mark.parametrize("host", STRANGE)
def test_on_the_loopback_interface_other_names_are_refused_on_every_route(
    client: FlaskClient, host: str
) -> None:
    for path in ("/", "/recent?facts=true", "/docs/", "/nothing", "/status/x", "/metrics"):
        answer = client.get(path, headers={"Host": host, "X-API-Key": DUMMY_KEY})
        assert answer.status_code == 421, path
        assert "ALLOWED_HOSTS" in answer.get_json()["error"]
    assert client.post("/generate", headers={"Host": host}, json={}).status_code == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:5001", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:5001"]
)
def test_on_the_loopback_interface_its_own_names_are_answered(
    client: FlaskClient, worker: object, host: str
) -> None:
    assert get(client, host) == 200
    assert get(client, host, SERVER_NAME="::1") == 200


def test_on_another_address_every_name_is_answered(client: FlaskClient, worker: object) -> None:
    assert get(client, "draw.example", **OTHERS_ADDRESS) == 200


def test_the_setting_says_which_names_are_answered_on_any_address(
    settings: ApiSettings, worker: object
) -> None:
    client = of(settings, "draw.example", ".lan", "fe80::2")

    for environ in ({}, OTHERS_ADDRESS):
        for host in ("draw.example", "Draw.Example:80", "gpu.lan", "lan", "[fe80::2]:5001"):
            assert get(client, host, **environ) == 200, host
        for host in ("evil.example", "evildraw.example", "localhost", "evil-lan"):
            assert get(client, host, **environ) == 421, host


def test_a_star_allows_every_name(settings: ApiSettings, worker: object) -> None:
    assert get(of(settings, "*"), "evil.example") == 200


def test_health_is_told_under_every_name(settings: ApiSettings, worker: object) -> None:
    for path in ("/healthz", "/readyz"):
        assert get(of(settings, "draw.example"), "10.1.2.3:5001", path, **OTHERS_ADDRESS) == 200


def test_names_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "draw.example, .lan")
    assert ApiSettings().allowed_hosts == ("draw.example", ".lan")


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def bound(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, RunningApi]]:
    environment = {"API_HOST": request.param, "DATA_DIR": str(tmp_path), "ALLOWED_HOSTS": ""}
    with RunningApi(environment, tmp_path / "log") as api:
        yield request.param, api


@pytest.mark.service
def test_the_address_that_gunicorn_is_bound_to_decides(bound: tuple[str, RunningApi]) -> None:
    address, api = bound
    with httpx.Client(base_url=api.url, trust_env=False, timeout=60) as client:
        own = client.get("/templates").status_code
        other = client.get("/templates", headers={"Host": "evil.example"}).status_code
    assert (own, other) == (200, 421 if address == "127.0.0.1" else 200)
