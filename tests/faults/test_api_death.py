"""gunicorn is killed in the middle of submits."""

import base64
import io
import random
import threading

import httpx
import pytest
from PIL import Image

from jobs import keys
from jobs.status import JobState
from tests.faults.api import BODY, client_of, running_api
from tests.faults.valkey import Valkey
from tests.worker.conftest import Bench, until
from tests.worker.processes import worker

pytestmark = pytest.mark.service

SEED = 5
DEATHS = 2
CLIENTS = 6


def picture() -> str:
    data = io.BytesIO()
    Image.effect_noise((256, 256), 60).convert("RGB").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


class Submitters:
    """Clients that submit, one job after the other, until the API is gone."""

    def __init__(self, client: httpx.Client, number: int) -> None:
        self.accepted: list[str] = []
        self._client = client
        self._picture = picture()
        self._threads = [threading.Thread(target=self._submit, args=[n]) for n in range(number)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _submit(self, number: int) -> None:
        body = BODY | {"ddim_steps": 1, "n_iter": 1}
        path = "/generate"
        if number % 2:
            path, body = "/img2img", body | {"init_img": self._picture}
        while True:
            try:
                answer = self._client.post(path, json=body)
            except httpx.TransportError:
                return
            assert answer.status_code == 202, answer.text
            self.accepted.append(answer.json()["task_id"])


def test_a_submit_is_accepted_whole_or_not_at_all(bench: Bench, valkey: Valkey) -> None:
    dice = random.Random(SEED)
    answered: set[str] = set()
    with worker(bench, valkey.url, CONCURRENCY="2") as handle:
        handle.freeze()
        for death in range(DEATHS):
            with (
                running_api(bench, valkey.url, f"api-{death}") as api,
                client_of(api) as client,
            ):
                submitters = Submitters(client, CLIENTS)
                submitters.start()
                enough = dice.randint(5, 15)
                until(lambda many=enough, s=submitters: len(s.accepted) >= many)
                api.kill()
                submitters.join()
            answered |= set(submitters.accepted)

        prefix = keys.JOB
        kept = {key.removeprefix(prefix) for key in bench.redis.scan_iter(f"{prefix}*")}
        assert answered <= kept  # each 202 has a job; some answers were lost
        assert len(kept) <= len(answered) + DEATHS * CLIENTS
        waiting = [bench.status(job) for job in kept]
        assert sorted(job.queue_position or 0 for job in waiting) == list(range(1, len(kept) + 1))

        handle.thaw()
        for job in kept:
            assert bench.ended(job).state is JobState.SUCCESS
    drawn = [name for name in bench.files() if name.startswith("outputs/")]
    assert len(drawn) == len(kept)
