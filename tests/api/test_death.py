"""kill -9 of gunicorn in the middle of submissions: every one was accepted, or never was."""

import base64
import io
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs import keys
from jobs.records.file_cleanup import FileCleanup
from jobs.records.record import JobRecords
from jobs.status import JobState
from tests.api.conftest import HandWorker
from tests.api.serving import RunningApi
from tests.processes import eventually

pytestmark = pytest.mark.service

CLIENTS = 8
DEATHS = 2


def picture() -> str:
    data = io.BytesIO()
    Image.new("RGB", (64, 64)).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


BODY = {"prompt": "a cat", "W": 64, "H": 64, "init_img": picture()}


class Clients:
    """Clients that submit one request after the other, until their server is gone."""

    def __init__(self, url: str, prefix: str) -> None:
        self.answered: dict[str, str] = {}
        self.unanswered: set[str] = set()
        self._url = url
        self._threads = [
            threading.Thread(target=self._submit, args=(f"{prefix}-{number}",))
            for number in range(CLIENTS)
        ]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _submit(self, name: str) -> None:
        with httpx.Client(base_url=self._url, timeout=60, trust_env=False) as client:
            for number in range(10_000):
                try:
                    task_id = submitted(client, f"{name}-{number}").json()["task_id"]
                except httpx.TransportError:
                    self.unanswered.add(f"{name}-{number}")
                    return
                self.answered[f"{name}-{number}"] = task_id


def submitted(client: httpx.Client, name: str) -> httpx.Response:
    headers = {"X-API-Key": DUMMY_KEY, "Idempotency-Key": name}
    return client.post("/img2img", json=BODY, headers=headers).raise_for_status()


def test_no_submission_is_half_made_when_the_api_is_killed(
    settings: ApiSettings, worker: HandWorker, tmp_path: Path
) -> None:
    worker.announce("optimized", ttl_seconds=600)
    environment = {
        "CELERY_BROKER_URL": settings.celery_broker_url,
        "CELERY_RESULT_BACKEND": "",
        "OUTPUTS": settings.outputs,
        "DATA_DIR": str(tmp_path),
        "API_KEYS": "",
        "API_KEYS_FILE": "",
        "RATE_LIMIT": "none",
        "MAX_WAITING": "0",
        "MAX_WAITING_PER_KEY": "0",
    }
    answered: dict[str, str] = {}
    unanswered: set[str] = set()
    for death in range(DEATHS):
        with RunningApi(environment, tmp_path / f"log-{death}") as api:
            clients = Clients(api.url, str(death))
            assert eventually(lambda c=clients: len(c.answered) > 2 * CLIENTS, 120)
            api.kill()
            clients.join()
        answered |= clients.answered
        unanswered |= clients.unanswered
    assert len(unanswered) == DEATHS * CLIENTS

    redis: Any = worker.redis
    records = JobRecords(redis, result_ttl_seconds=600)
    with redis.pipeline() as together:  # Redis may still execute what the API has sent
        together.zrange(keys.queue("optimized"), 0, -1)
        together.keys(f"{keys.JOB}*")
        places, records_of = together.execute()
    waiting = {keys.job_of(str(place)) for place in places}
    recorded = {key.removeprefix(keys.JOB) for key in records_of}
    assert waiting == recorded >= set(answered.values())
    for job_id in waiting:
        assert records.get(job_id).state is JobState.PENDING
        assert worker.store.read_input(job_id, "init")

    # a client without an answer repeats the request, and has one job
    with (
        RunningApi(environment, tmp_path / "log") as api,
        httpx.Client(base_url=api.url, timeout=60, trust_env=False) as client,
    ):
        for name in sorted(unanswered | set(list(answered)[:20])):
            task_id = submitted(client, name).json()["task_id"]
            assert answered.setdefault(name, task_id) == task_id
    assert worker.waiting() == set(answered.values())

    # what was stored for jobs that never were is found and deleted
    file_cleanup = FileCleanup(redis, worker.store)
    file_cleanup.delete_orphans(grace=600)
    for name in redis.zrange(keys.ORPHANS, 0, -1):
        redis.zadd(keys.ORPHANS, {name: 0})
    file_cleanup.delete_orphans(grace=600)
    inputs = {path.name.split(".")[0] for path in (Path(settings.outputs) / "inputs").iterdir()}
    assert inputs == set(answered.values())
