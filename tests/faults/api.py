"""The API of a faults test, and a client that records its answers."""

import random
import time
from pathlib import Path
from typing import Any

import httpx

from api.auth import DUMMY_KEY
from tests.api.serving import RunningApi
from tests.worker.conftest import Bench

KEY = {"X-API-Key": DUMMY_KEY}
BODY: dict[str, Any] = {
    "prompt": "a red cat",
    "type": "standard",
    "H": 64,
    "W": 64,
    "ddim_steps": 3,
}


def running_api(
    bench: Bench, redis_url: str, name: str = "api", repository: Path | None = None
) -> RunningApi:
    """gunicorn on the bench's records and pictures; `repository`: with another code."""
    environment = {
        "CELERY_BROKER_URL": redis_url,
        "CELERY_RESULT_BACKEND": redis_url,
        "DATA_DIR": str(bench.outputs.parent),
        "OUTPUTS": str(bench.outputs),
        "DEFAULT_MODEL": "small",
        "RATE_LIMIT": "none",
        "MAX_WAITING": "0",
        "MAX_WAITING_PER_KEY": "0",
        "MAX_BYTES_PER_KEY": "0",
        "API_KEYS": "",
        "API_KEYS_FILE": "",
    }
    return RunningApi(environment, Path(bench.outputs.parent) / f"{name}.log", repository)


def client_of(api: RunningApi) -> httpx.Client:
    return httpx.Client(base_url=api.url, timeout=60, headers=KEY, trust_env=False)


def accepted(client: httpx.Client, path: str = "/generate", **body: Any) -> str:
    """Submit until it is accepted; a refusal must be a 503 that says when to try again."""
    while True:
        answer = client.post(path, json=BODY | body)
        if answer.status_code == 202:
            return answer.json()["task_id"]
        assert_refused(answer)
        time.sleep(random.uniform(0.1, 0.4))


def assert_refused(answer: httpx.Response) -> None:
    """Not accepted, not broken: try again."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) >= 1
