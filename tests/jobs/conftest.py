"""Records on a real Valkey, and requests to fill them with."""

from collections.abc import Callable

import pytest
from redis import Redis

from jobs.connection import connect
from jobs.names import JobType
from jobs.records.claims import Claims
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.status import Result
from jobs.validation.request import parse_request

Open = Callable[..., str]


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


@pytest.fixture
def records(redis: Redis) -> JobRecords:
    return JobRecords(redis, result_ttl_seconds=600)


@pytest.fixture
def claims(redis: Redis) -> Claims:
    return Claims(redis, lease_seconds=60, max_attempts=3, result_ttl_seconds=600)


@pytest.fixture
def open_job(records: JobRecords) -> Open:
    """Opens a job and returns its id."""

    def open_job(prompt: str = "a red cat", job_type: JobType = "standard") -> str:
        request = parse_request("txt2img", {"prompt": prompt, "type": job_type})
        job = NewJob(
            job_id=new_job_id(), request=request.settled(model="tiny", seed=7), model="tiny"
        )
        records.open(job)
        return job.job_id

    return open_job


@pytest.fixture
def open_for(records: JobRecords) -> Open:
    """Opens a job of a submitter and returns its id."""

    def open_for(submitter: str) -> str:
        request = parse_request("txt2img", {"prompt": "a", "type": "standard"})
        job = NewJob(
            job_id=new_job_id(),
            request=request.settled(model="tiny", seed=7),
            model="tiny",
            submitter=submitter,
        )
        records.open(job)
        return job.job_id

    return open_for


@pytest.fixture
def result() -> Result:
    return Result(
        images=(),
        format="png",
        model="tiny",
        model_hash="0123456789",
        sampler="ddim",
        steps=20,
        executed_steps=20,
        prompt={},
        timings={"draw": 1.0},
    )
