"""How many jobs may wait: of one key, and in all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from redis import Redis

from jobs import keys
from jobs.errors import QueueFull, TooManyWaiting
from jobs.limits import WaitingCaps
from jobs.names import JobType
from jobs.records.claims import Claims
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.status import Result
from jobs.validation.request import parse_request
from tests.jobs.leases import lapse

Submit = Callable[..., str]


@pytest.fixture
def submit(redis: Redis) -> Submit:
    """Submits a job; two may wait of each submitter and three in total."""
    capped = JobRecords(redis, result_ttl_seconds=600, caps=WaitingCaps(per_submitter=2, total=3))

    def submit(submitter: str = "anna", job_type: JobType = "standard") -> str:
        request = parse_request("txt2img", {"prompt": "a", "type": job_type})
        job = NewJob(
            job_id=new_job_id(),
            request=request.settled(model="tiny", seed=1),
            model="tiny",
            submitter=submitter,
        )
        capped.open(job)
        return job.job_id

    return submit


def test_one_key_has_its_share_over_all_types(submit: Submit, redis: Redis) -> None:
    submit(job_type="standard")
    submit(job_type="optimized")
    with pytest.raises(TooManyWaiting):
        submit()
    submit("bert")
    assert len(redis.keys(f"{keys.JOB}*")) == 3


def test_the_queue_is_full_for_everybody(submit: Submit, redis: Redis) -> None:
    for submitter in ("anna", "bert", "carl"):
        submit(submitter)
    with pytest.raises(QueueFull):
        submit("dora")
    assert len(redis.keys(f"{keys.JOB}*")) == 3


def test_a_job_that_no_longer_waits_makes_room(
    submit: Submit, claims: Claims, records: JobRecords, result: Result
) -> None:
    drawn, cancelled = submit(), submit()
    claim = claims.claim("standard", "worker")
    assert claim
    assert claim.job_id == drawn
    submit()
    records.cancel(cancelled)
    submit()
    claims.finish(claim, result)
    with pytest.raises(TooManyWaiting):
        submit()


def test_a_job_that_waits_again_counts_again(submit: Submit, claims: Claims, redis: Redis) -> None:
    submit()
    handed_back = claims.claim("standard", "worker")
    assert handed_back
    claims.hand_back(handed_back)
    submit()
    with pytest.raises(TooManyWaiting):
        submit()

    orphaned = claims.claim("standard", "worker")
    assert orphaned
    submit()
    lapse(redis, orphaned.job_id)
    claims.reap()
    with pytest.raises(TooManyWaiting):
        submit()


def test_parallel_submissions_never_go_over(submit: Submit, records: JobRecords) -> None:
    def try_to(_: int) -> None:
        with suppress(TooManyWaiting):
            submit()

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(try_to, range(64)))
    assert records.waiting("standard") == 2


def test_without_caps_any_number_waits(records: JobRecords, open_job: Callable[..., str]) -> None:
    for _ in range(50):
        open_job()
    assert records.waiting("standard") == 50
