"""Whether a job would be drawn, and what the workers are doing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs import keys
from jobs.names import JobType
from jobs.worker_facts import WorkerFacts
from tests.api.conftest import HandWorker
from tests.ports import free_port

KEY = {"X-API-Key": DUMMY_KEY}
BODY = {"prompt": "a cat", "H": 64, "W": 64}

Numbers = Callable[[], dict[str, float]]


def facts(worker_id: str, *types: JobType, jobs: tuple[str, ...] = ()) -> WorkerFacts:
    return WorkerFacts(
        worker_id=worker_id,
        types=types,
        models=("tiny", "sd15"),
        default_model="tiny",
        device="cuda:0",
        slots=2,
        busy=len(jobs),
        jobs=jobs,
        loaded=("tiny",),
        oldest_progress_seconds=12.5,
        memory_bytes=12345,
        gpu_memory_bytes=6789,
    )


@pytest.fixture
def numbers(client: FlaskClient) -> Numbers:
    """What /metrics tells, as `name{label}`."""

    def read() -> dict[str, float]:
        answer = client.get("/metrics")
        assert answer.status_code == 200
        return {
            sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(answer.get_data(as_text=True))
            for sample in family.samples
        }

    return read


def readiness(client: FlaskClient, purpose: str) -> tuple[int, list[str]]:
    """The code of /readyz for a purpose, and what is missing."""
    answer = client.get("/readyz", query_string={"for": purpose})
    return answer.status_code, answer.get_json()["missing"]


def test_without_workers_an_api_is_ready_but_no_job_is_drawn(
    client: FlaskClient, worker: HandWorker
) -> None:
    assert (readiness(client, "jobs"), client.get("/readyz").get_json()["workers"]) == (
        (200, []),
        1,
    )

    worker.workers.withdraw("by-hand")

    assert readiness(client, "jobs") == (503, ["workers"])
    for purpose in ("status", "requests"):
        assert readiness(client, purpose) == (200, ["workers"])
    ready = client.get("/readyz")
    told = ready.get_json()
    assert (ready.status_code, told["status"], told["workers"]) == (200, "ready", 0)
    assert told["problem"] == "no worker is alive"
    assert client.get("/healthz").status_code == 200


def test_readiness_misses_a_type_whose_only_worker_vanished(
    client: FlaskClient, worker: HandWorker
) -> None:
    worker.workers.announce(facts("other", "standard"), ttl_seconds=60)
    assert readiness(client, "jobs") == (200, [])

    worker.redis.delete(keys.WORKER + "other")  # as its announcement runs out

    assert readiness(client, "jobs") == (503, ["workers:standard"])
    assert client.get("/readyz").get_json()["problem"] == "no worker serves standard any more"


def test_a_type_whose_worker_signed_off_is_not_missed(
    client: FlaskClient, worker: HandWorker
) -> None:
    worker.workers.announce(facts("other", "standard"), ttl_seconds=60)
    worker.workers.withdraw("other")

    assert readiness(client, "jobs") == (200, [])


def test_readiness_needs_a_store_that_can_be_written(
    client: FlaskClient, worker: HandWorker, settings: ApiSettings
) -> None:
    outputs = Path(settings.outputs)
    shutil.rmtree(outputs, ignore_errors=True)
    outputs.write_text("a file where the folder should be")

    assert client.get("/readyz").status_code == 503
    assert readiness(client, "requests") == (503, ["store"])
    assert readiness(client, "status") == (200, ["store"])
    outputs.unlink()
    assert client.get("/readyz").status_code == 200
    assert [path for path in outputs.rglob("*") if path.is_file()] == []


def test_no_job_is_drawn_without_a_worker_that_can_store_pictures(
    client: FlaskClient, worker: HandWorker
) -> None:
    broken = facts("by-hand", "standard", "optimized").model_copy(update={"problem": "disk full"})
    worker.workers.announce(broken, ttl_seconds=60)
    assert readiness(client, "jobs") == (503, ["workers:store"])
    assert readiness(client, "requests") == (200, ["workers:store"])
    assert client.get("/workers").get_json()["workers"][0]["problem"] == "disk full"

    worker.workers.announce(facts("other", "standard"), ttl_seconds=60)
    assert readiness(client, "jobs") == (200, [])


def test_readiness_needs_a_redis_that_takes_writes(client: FlaskClient, worker: HandWorker) -> None:
    status = client.post("/generate", json=BODY, headers=KEY).headers["Location"]
    before = str(worker.redis.config_get("maxmemory")["maxmemory"])
    worker.redis.config_set("maxmemory", "1")
    try:
        ready = client.get("/readyz")
        tells = readiness(client, "status"), client.get(status).status_code
        submitted = client.post("/generate", json=BODY, headers=KEY)
    finally:
        worker.redis.config_set("maxmemory", before)
    assert (ready.status_code, ready.get_json()["missing"]) == (503, ["records"])
    assert tells == ((200, ["records"]), 200)
    assert (submitted.status_code, submitted.headers["Retry-After"]) == (503, "5")


def test_readiness_for_anything_needs_a_redis_that_answers(tmp_path: Path) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    app = create_app(
        ApiSettings(celery_broker_url=nowhere, celery_result_backend=nowhere, outputs=str(tmp_path))
    )
    for purpose in ("status", "requests", "jobs"):
        assert readiness(app.test_client(), purpose) == (503, ["records"])


def test_readiness_for_something_else_is_refused(client: FlaskClient) -> None:
    refused = client.get("/readyz?for=drawing")

    assert refused.status_code == 400
    assert "'drawing' is none of status, requests, jobs" in refused.get_data(as_text=True)


def test_workers_are_told_with_load_and_memory_but_without_job_ids(
    client: FlaskClient, worker: HandWorker
) -> None:
    client.post("/generate", json=BODY, headers=KEY)
    claim, _ = worker.claim()
    worker.report(claim, 1, 4)
    jobs = (claim.job_id, "one-that-has-ended")
    worker.workers.announce(facts("big", "standard", jobs=jobs), ttl_seconds=60)

    answer = client.get("/workers")

    assert not [job for job in jobs if job in answer.get_data(as_text=True)]
    big, by_hand = answer.get_json()["workers"]
    assert 0 <= big.pop("heard_seconds_ago") < 60
    assert 0 <= big["jobs"][0].pop("running_seconds") < 60
    assert big == {
        "worker": "big",
        "types": ["standard"],
        "models": ["tiny", "sd15"],
        "loaded": ["tiny"],
        "device": "cuda:0",
        "slots": 2,
        "busy": 2,
        "jobs": [
            {
                "kind": "txt2img",
                "active_model": "tiny",
                "State": "PROGRESS",
                "Progress": 0.25,
                "attempts": 1,
            }
        ],
        "oldest_progress_seconds": 12.5,
        "memory_bytes": 12345,
        "gpu_memory_bytes": 6789,
        "problem": "",
    }
    assert by_hand["worker"] == "by-hand"


def test_metrics_count_every_job_once_by_its_end(
    client: FlaskClient, worker: HandWorker, numbers: Numbers
) -> None:
    for _ in range(4):
        assert client.post("/generate", json=BODY, headers=KEY).status_code == 202
    worker.draw()
    worker.fail("broken")
    worker.claim()

    told = numbers()

    assert told["sd_redis_up"] == 1
    assert told["sd_jobs_waiting{optimized}"] == 1
    assert told["sd_jobs_waiting{standard}"] == 0
    assert told["sd_jobs_running"] == 1
    assert told["sd_jobs_ended_total{SUCCESS}"] == 1
    assert told["sd_jobs_ended_total{FAILURE}"] == 1
    assert told["sd_jobs_ended_total{CANCELLED}"] == 0
    assert told["sd_workers_alive{optimized}"] == 1
    assert told["sd_workers_alive{standard}"] == 0
    assert told["process_resident_memory_bytes"] > 0


def test_a_step_that_is_too_late_is_not_counted(
    client: FlaskClient, worker: HandWorker, numbers: Numbers
) -> None:
    client.post("/generate", json=BODY, headers=KEY)
    claim, request = worker.claim()
    worker.finish(claim, request)
    worker.finish(claim, request)

    assert numbers()["sd_jobs_ended_total{SUCCESS}"] == 1
