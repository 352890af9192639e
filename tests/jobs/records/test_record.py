import pytest
from redis import Redis

from jobs import keys
from jobs.connection import connect
from jobs.errors import JobAlreadyFinal, NoSuchJob, RecordsUnavailable
from jobs.records.claim import ClaimStatus
from jobs.records.claims import Claims
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.overview import Overview
from jobs.records.record import MAX_RECENT, JobRecords
from jobs.status import JobState, Progress, Result
from jobs.validation.request import parse_request
from tests.jobs.conftest import Open


def test_an_id_that_was_never_given_out_is_unknown(records: JobRecords) -> None:
    for job_id in (new_job_id(), "x", "*", "../", "\0"):
        with pytest.raises(NoSuchJob):
            records.get(job_id)


def test_a_new_job_waits_with_its_request_and_warnings(records: JobRecords) -> None:
    request = parse_request("txt2img", {"prompt": "a", "type": "standard"})
    request = request.settled(model="tiny", seed=5)
    job = NewJob(
        job_id=new_job_id(), request=request, model="tiny", warnings=("so so",), submitter="abc"
    )
    records.open(job)
    status = records.get(job.job_id)
    assert (status.state, status.queue_position, status.fraction) == (JobState.PENDING, 1, 0)
    assert (status.request["seed"], status.model) == (5, "tiny")
    assert (status.warnings, status.submitter) == (("so so",), "abc")


def test_an_id_is_given_out_once(records: JobRecords, open_job: Open) -> None:
    job_id = open_job()
    again = NewJob(job_id=job_id, request=parse_request("txt2img", {"prompt": "b"}), model="tiny")
    with pytest.raises(ValueError, match="taken"):
        records.open(again)


def test_the_queue_position_is_right_while_others_start_and_cancel(
    records: JobRecords, claims: Claims, open_job: Open
) -> None:
    first, second, third, fourth = (open_job() for _ in range(4))
    other_type = open_job(job_type="optimized")
    assert [records.queue_position(job) for job in (first, second, third, fourth)] == [1, 2, 3, 4]
    assert records.queue_position(other_type) == 1
    records.cancel(second)
    assert [records.queue_position(job) for job in (first, second, third, fourth)] == [
        1,
        None,
        2,
        3,
    ]
    claims.claim("standard", "worker")
    assert [records.queue_position(job) for job in (first, third, fourth)] == [None, 1, 2]
    assert records.waiting("standard") == 2


def test_a_waiting_job_is_cancelled_at_once_and_never_claimed(
    records: JobRecords, claims: Claims, open_job: Open
) -> None:
    job_id = open_job()
    assert records.cancel(job_id) is JobState.CANCELLED
    assert records.get(job_id).state is JobState.CANCELLED
    assert claims.claim("standard", "worker") is None


def test_a_running_job_is_requested_to_stop(
    records: JobRecords, claims: Claims, open_job: Open
) -> None:
    job_id = open_job()
    claim = claims.claim("standard", "worker")
    assert claim
    assert records.cancel(job_id) is JobState.LOADING
    assert records.get(job_id).cancel_requested
    assert claims.renew(claim) is ClaimStatus.CANCEL
    assert claims.report(claim, Progress(step=1, steps=2, fraction=0.5)) is ClaimStatus.CANCEL
    assert claims.cancelled(claim) is ClaimStatus.HELD
    assert records.get(job_id).state is JobState.CANCELLED


def test_a_final_job_cannot_be_cancelled(
    records: JobRecords, claims: Claims, open_job: Open, result: Result
) -> None:
    job_id = open_job()
    claim = claims.claim("standard", "worker")
    assert claim
    claims.finish(claim, result)
    with pytest.raises(JobAlreadyFinal) as caught:
        records.cancel(job_id)
    assert caught.value.state == "SUCCESS"
    with pytest.raises(NoSuchJob):
        records.cancel(new_job_id())


def test_a_busy_submitter_does_not_push_the_jobs_of_others_off_their_lists(
    redis: Redis, records: JobRecords, claims: Claims, open_for: Open, result: Result
) -> None:
    def succeed(submitter: str) -> str:
        job = open_for(submitter)
        claim = claims.claim("standard", "worker")
        assert claim
        assert claim.job_id == job
        claims.finish(claim, result)
        return job

    mine = succeed("one")
    theirs = [succeed("two") for _ in range(MAX_RECENT + 5)]
    overview = Overview(redis, records)
    assert mine not in records.recent(MAX_RECENT)
    assert [status.job_id for status in overview.finished(of="one", of_all=0)] == [mine]
    assert [status.job_id for status in overview.finished(of="one", of_all=2)] == [
        *theirs[:-3:-1],
        mine,
    ]
    records.delete(mine, by="one")
    assert overview.finished(of="one", of_all=0) == ()


def test_recent_lists_the_latest_successes_first_without_those_that_expired(
    records: JobRecords, claims: Claims, open_job: Open, result: Result, redis: Redis
) -> None:
    jobs = [open_job() for _ in range(12)]
    for _ in jobs:
        claim = claims.claim("standard", "worker")
        assert claim
        claims.finish(claim, result)
    redis.delete(f"{keys.JOB}{jobs[11]}")
    assert records.recent() == tuple(reversed(jobs[1:11]))
    assert records.recent(2) == (jobs[10], jobs[9])


def test_a_finished_record_expires_and_a_waiting_one_does_not(
    claims: Claims, open_job: Open, result: Result, redis: Redis
) -> None:
    job_id = open_job()
    waiting = open_job()
    claim = claims.claim("standard", "worker")
    assert claim
    claims.finish(claim, result)
    assert 0 < redis.ttl(f"{keys.JOB}{job_id}") <= 600
    assert redis.ttl(f"{keys.JOB}{waiting}") == -1


def test_an_unreachable_redis_has_an_error_of_its_own() -> None:
    records = JobRecords(connect("redis://127.0.0.1:1/0"), result_ttl_seconds=1)
    with pytest.raises(RecordsUnavailable):
        records.get(new_job_id())
