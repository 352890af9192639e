"""The service on a GPU: both types, previews, a cancelled job, and a worker that is killed."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.auth import DUMMY_KEY
from tests.launching import Launcher
from tests.ports import free_port
from tests.processes import eventually

pytestmark = [pytest.mark.gpu(rehearsable=True), pytest.mark.service]

ENDS = ("SUCCESS", "FAILURE", "CANCELLED")


@pytest.fixture
def long_job(device: str) -> dict[str, int]:
    """Changes of a job that runs for seconds."""
    side = 64 if device == "cpu" else 512
    return {"H": side, "W": side, "n_iter": 10, "ddim_steps": 100}


class Client:
    """Submits jobs and follows them."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, headers={"X-API-Key": DUMMY_KEY}, timeout=120)

    def submit(self, kind: str, **changes: Any) -> str:
        body = json.loads(Path(f"templates/txt2img-{kind}.json").read_text())
        body |= {"H": 64, "W": 64, "ddim_steps": 6, "n_iter": 1, "api_key": DUMMY_KEY}
        answer = self._http.post("/generate", json=body | changes)
        assert answer.status_code == 202, answer.text
        return answer.json()["task_id"]

    def state(self, job: str) -> dict[str, Any]:
        return self._http.get(f"/status/{job}", params={"images": "false"}).json()

    def ended(self, job: str) -> dict[str, Any]:
        assert eventually(lambda: self.state(job)["State"] in ENDS, 240), self.state(job)
        return self.state(job)

    def running(self, job: str) -> None:
        assert eventually(lambda: self.state(job)["Progress"] > 0, 120), self.state(job)

    def workers(self) -> list[dict[str, Any]]:
        return self._http.get("/workers").json()["workers"]

    def events(self, job: str) -> set[str]:
        """The kinds of events until the job ends."""
        kinds: set[str] = set()
        with self._http.stream("GET", f"/events/{job}") as lines:
            for line in lines.iter_lines():
                if line.startswith("event:"):
                    kinds.add(line.partition(":")[2].strip())
                if kinds & {"done", "failed", "cancelled"}:
                    break
        return kinds

    def cancel(self, job: str) -> None:
        assert self._http.delete(f"/status/{job}").is_success


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, device: str) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("gpu-service")
    port = free_port()
    environment = {
        "PORT": str(port),
        "DATA_DIR": str(folder / "data"),
        "DEVICE": device,
        "DEFAULT_MODEL": "tiny",
        "CELERY_BROKER_URL": "",
        "API_KEYS": "",
    }
    launcher = Launcher(["up"], environment, folder / "log")
    launcher.wait_until_it_says("ready at")
    yield Client(f"http://127.0.0.1:{port}")
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.said


@pytest.mark.parametrize("kind", ["standard", "optimized"])
@pytest.mark.parametrize("precision", ["autocast", "full"])
def test_both_types_succeed_on_the_gpu(
    client: Client, device: str, kind: str, precision: str
) -> None:
    for _ in range(2):  # the second job finds the model, and what the first one recorded
        ended = client.ended(client.submit(kind, precision=precision, device=device))
        assert ended["State"] == "SUCCESS", ended
        assert not ended.get("Warnings"), "it ran on another device"
    assert [worker["device"] for worker in client.workers()] == [device]


def test_a_running_job_sends_previews(client: Client, long_job: dict[str, int]) -> None:
    assert "preview" in client.events(client.submit("standard", **long_job))


def test_a_running_job_is_cancelled(client: Client, long_job: dict[str, int]) -> None:
    job = client.submit("standard", **long_job)
    client.running(job)
    client.cancel(job)
    assert client.ended(job)["State"] == "CANCELLED"


def test_a_queue_of_jobs_succeeds(client: Client) -> None:
    jobs = [client.submit("standard", seed=seed) for seed in range(8)]
    assert [client.ended(job)["State"] for job in jobs] == ["SUCCESS"] * 8


def test_the_job_of_a_killed_worker_is_finished(client: Client, long_job: dict[str, int]) -> None:
    job = client.submit("standard", **long_job)
    client.running(job)
    os.kill(int(client.workers()[0]["worker"].rsplit("-", 2)[1]), signal.SIGKILL)
    ended = client.ended(job)
    assert ended["State"] == "SUCCESS", ended
