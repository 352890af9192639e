"""The logs of the whole service: one JSON object a line, with job ids, never with API keys."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from PIL import Image

from tests.launcher.conftest import Launch, valkey_url
from tests.launching import Launcher
from tests.ports import free_port
from tests.processes import eventually

pytestmark = pytest.mark.service

CANARY = "canary-key-never-to-be-seen"
BODY = {"H": 64, "W": 64, "ddim_steps": 2, "prompt": "a cat that no other test uses"}


def events(launcher: Launcher) -> list[dict[str, Any]]:
    return [json.loads(line) for line in launcher.said.splitlines()]


def everything_in_redis(mark: str) -> str:
    """Every key and value, as the service's own Redis client reads them."""
    with redis.Redis.from_url(valkey_url(mark), decode_responses=False) as client:
        return " ".join(
            f"{key!r} {client.dump(key)!r} {_plain(client, key)}" for key in client.scan_iter()
        )


def _plain(client: Any, key: bytes) -> str:
    readers = {b"hash": client.hgetall, b"string": client.get, b"set": client.smembers}
    value_type = client.type(key)
    if value_type in readers:
        return repr(readers[value_type](key))
    return repr(client.lrange(key, 0, -1) if value_type == b"list" else client.zrange(key, 0, -1))


@pytest.mark.parametrize("level", ["DEBUG", pytest.param("INFO", marks=pytest.mark.slow)])
def test_logs_are_json_with_job_ids_and_without_keys(
    launch: Launch, tmp_path: Path, mark: str, level: str
) -> None:
    port = free_port()
    up = launch(
        "up", PORT=str(port), API_KEYS=f"other,{CANARY}", LOG_FORMAT="json", LOG_LEVEL=level
    )
    up.wait_until_it_says("ready at")
    answers: list[httpx.Response] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        header = {"X-API-Key": CANARY}
        first = client.post("/generate", json={**BODY, "api_key": CANARY})
        second = client.post("/generate", json=BODY, headers=header)
        answers += [
            first,
            second,
            client.post("/generate", json={**BODY, "H": 3}, headers=header),
            client.post("/generate", json={**BODY, "api_key": [CANARY]}),
            client.post("/generate", json=BODY, headers={"X-API-Key": f"{CANARY}!"}),
            client.get("/recent", headers={"Authorization": f"Bearer {CANARY}"}),
            client.get("/nothing", params={"api_key": CANARY}),
        ]
        job = first.json()["task_id"]
        for accepted in (first, second):
            location = accepted.headers["Location"]
            assert eventually(lambda at=location: client.get(at).content[1:4] == b"PNG", 240)
            answers.append(client.get(location, params={"images": "false"}))
            answers.append(client.get(location))
        answers += [client.get(path) for path in ("/workers", "/readyz", "/metrics")]
    stored = everything_in_redis(mark)
    up.process.send_signal(signal.SIGTERM)
    assert up.wait() == 0

    logged = events(up)
    for event in logged:
        assert {"timestamp", "level", "event", "service"} <= event.keys()
    of_the_job = [(event["service"], event["event"]) for event in logged if event.get("job") == job]
    assert ("api", "job accepted") in of_the_job
    assert ("worker-1", "job claimed") in of_the_job
    assert ("worker-1", "job done") in of_the_job
    assert any("shutdown" in event["event"] for event in logged if event["service"] == "worker-1")
    assert (BODY["prompt"] in up.said) is (level == "DEBUG")

    pictures = list((tmp_path / mark / "outputs").rglob("*.png"))
    assert len(pictures) == 2
    chunks = "".join(f"{Image.open(picture).info}" for picture in pictures)
    for text in (
        up.said,
        stored,
        chunks,
        *(answer.text + str(answer.headers) for answer in answers),
        *(path.read_bytes().decode("latin-1") for path in pictures),
    ):
        assert CANARY not in text
    # nor the password of the private Valkey
    assert not re.search(r"redis://:(?!\*)[^@]+@", up.said)
