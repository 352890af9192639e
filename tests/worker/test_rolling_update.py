"""A rolling update: the present code executes the jobs that the code before it opened."""

import io
from pathlib import Path

import pytest
from PIL import Image

from api import create_app
from api.auth import DUMMY_KEY
from api.settings import ApiSettings
from jobs import keys
from jobs.names import JOB_TYPES
from jobs.status import JobState
from tests.jobs.older_records import IDEMPOTENCY_KEY, SUBMITTED, load_older_records
from tests.worker.conftest import Bench, until
from tests.worker.processes import worker

pytestmark = pytest.mark.service

PICTURES = {"two prompts": 2, "running": 2, "from a picture": 2, "optimized": 2}
"""How many pictures those jobs have that have not one."""


def green() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "green").save(data, "PNG")
    return data.getvalue()


def test_jobs_of_the_code_before_are_executed_by_the_present_one(
    bench: Bench, redis_url: str, tmp_path: Path
) -> None:
    older = load_older_records(bench.redis)
    unended = older.unended
    for name in ("from a picture", "optimized"):
        bench.store.put_input(unended[name], "init", green())
    settings = ApiSettings(
        celery_broker_url=redis_url, celery_result_backend=redis_url, data_dir=tmp_path
    )
    client = create_app(settings).test_client()

    places = {
        name: client.get(f"/status/{job_id}").get_json().get("queue_place")
        for name, job_id in unended.items()
    }
    assert places.pop("running") is None
    assert places["optimized"] == 1
    assert sorted(places.values()) == [1, 1, 2, 3, 4, 5, 6, 7, 8]
    finished = client.get(f"/status/{older.job_ids['finished']}?images=false").get_json()
    assert (finished["State"], finished["seeds"]) == ("SUCCESS", [7, 8])
    failed = client.get(f"/status/{older.job_ids['failed']}").get_json()
    assert failed["failure"]["code"] == "out_of_memory"

    headers = {"X-API-Key": DUMMY_KEY}
    with worker(bench, redis_url):
        again = {**headers, "Idempotency-Key": IDEMPOTENCY_KEY}
        answer = client.post("/generate", json=SUBMITTED, headers=again)
        assert answer.get_json()["task_id"] == unended["idempotent"]
        until(lambda: all(bench.status(job_id).state.final for job_id in unended.values()))
        # nothing is left behind: neither queues nor leases nor init images
        until(lambda: not any("inputs/" in name for name in bench.files()))
        assert not bench.redis.exists(keys.LEASES, *map(keys.queue, JOB_TYPES))

    for name, job_id in unended.items():
        status = bench.status(job_id)
        assert (name, status.state) == (name, JobState.SUCCESS)
        assert status.result
        assert (name, len(status.result.images)) == (name, PICTURES.get(name, 1))
        assert client.get(f"/images/{job_id}/0", headers=headers).status_code == 200
    assert bench.status(unended["running"]).attempts == 2
    first, second = (bench.status(unended[name]) for name in ("first by priority", "plain"))
    assert (first.started or 0) < (second.started or 0)
    assert "🐕" in bench.status(unended["long"]).request["prompt"]
    facts = client.get("/recent?facts=true", headers=headers).get_json()
    assert {job["task_id"] for job in facts["Finished"]} >= {
        older.job_ids["finished"],
        *unended.values(),
    }
