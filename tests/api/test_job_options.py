"""What a dialect asks of JobService besides jobs: options of a key, users, jobs by their names."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from api import JOB_SERVICE
from api.job_service import JobService
from jobs import keys
from jobs.client_options import MAX_BYTES
from jobs.errors import IdempotencyKeyReused, OptionsTooLarge
from tests.api.conftest import HandWorker

BODY: dict[str, Any] = {"prompt": "a cat", "W": 64, "H": 64}


@pytest.fixture
def jobs(app: Flask) -> JobService:
    return app.extensions[JOB_SERVICE]


def test_options_are_those_of_one_key_and_merge(jobs: JobService) -> None:
    assert jobs.options(of="anna") == {}
    jobs.set_options({"model": "tiny", "steps": 1 << 60, "\ud800": []}, of="anna")
    jobs.set_options({"model": None, "off": False, "ö": {"a": [1.5, "é"]}}, of="anna")
    assert jobs.options(of="anna") == {
        "model": None,
        "steps": 1 << 60,
        "\ud800": [],
        "off": False,
        "ö": {"a": [1.5, "é"]},
    }
    assert jobs.options(of="bert") == {}


def test_changes_at_the_same_time_are_all_kept(jobs: JobService) -> None:
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda n: jobs.set_options({f"o{n}": n}, of="anna"), range(40)))
    assert jobs.options(of="anna") == {f"o{n}": n for n in range(40)}


def test_options_beyond_the_cap_change_nothing(jobs: JobService) -> None:
    half = "x" * (MAX_BYTES // 2 - 10)
    jobs.set_options({"a": half, "b": 1}, of="anna")
    jobs.set_options({"a": half[:-1], "b": half}, of="anna")  # replaced, not added
    for change in ({"c": "x" * 20, "a": half}, {"c": half + half}):
        with pytest.raises(OptionsTooLarge, match=str(MAX_BYTES)):
            jobs.set_options(change, of="anna")
    assert jobs.options(of="anna") == {"a": half[:-1], "b": half}


def test_options_expire_a_month_after_their_last_use(jobs: JobService, worker: HandWorker) -> None:
    jobs.set_options({"a": 1}, of="anna")
    month = 30 * 86_400
    worker.redis.expire(keys.options("anna"), 5)
    assert jobs.options(of="anna") == {"a": 1}
    assert worker.redis.ttl(keys.options("anna")) == pytest.approx(month, abs=60)


def test_a_job_is_found_by_the_key_it_was_sent_under(jobs: JobService, worker: HandWorker) -> None:
    job = jobs.submit("txt2img", BODY, submitter="anna", idempotency_key="task 7")
    assert jobs.find("task 7", submitter="anna") == job.job_id
    assert jobs.find("task 7", submitter="bert") is None
    assert jobs.find("task 8", submitter="anna") is None


def test_warnings_of_the_dialect_come_first_and_again(jobs: JobService, worker: HandWorker) -> None:
    body = {**BODY, "prompt": "a __wild__ cat", "type": "standard"}
    worker.announce("optimized", "standard")

    def submit(*warnings: str) -> tuple[str, ...]:
        job = jobs.submit(
            "txt2img", body, submitter="anna", idempotency_key="k", warnings=iter(warnings)
        )
        return job.warnings

    plain = jobs.submit("txt2img", body, submitter="anna").warnings
    first = submit("no masks", "no sheep")
    assert first == ("no masks", "no sheep", *plain)
    assert submit("other") == first
    job_id = jobs.find("k", submitter="anna")
    assert job_id
    assert jobs.status(job_id).warnings == first
    with pytest.raises(IdempotencyKeyReused):
        jobs.submit("txt2img", BODY, submitter="anna", idempotency_key="k")


def test_of_a_user_s_name_only_a_digest_is_kept(jobs: JobService, worker: HandWorker) -> None:
    name = "maria@example.org"
    for submitter in ("anna", "bert"):
        jobs.submit("txt2img", BODY, submitter=submitter, user=name)
    names = list(worker.redis.scan_iter())
    records: list[Any] = [worker.redis.hgetall(key) for key in names if key.startswith(keys.JOB)]
    users = {record["user"] for record in records}
    assert len(users) == 2
    assert all(len(user) == 16 for user in users)
    assert name not in str(records)
    assert name not in str(names)


def test_a_waiting_client_s_user_and_warnings_go_with_its_job(
    jobs: JobService, worker: HandWorker
) -> None:
    result = jobs.submit_and_wait(
        "txt2img",
        BODY,
        submitter="anna",
        user="maria",
        warnings=["no masks"],
        abandoned=lambda: True,
        keep=True,
    )
    assert result.job.warnings[0] == "no masks"
    assert worker.redis.hget(keys.job(result.job.job_id), "user")
