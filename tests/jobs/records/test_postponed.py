"""Jobs that come back: handed back by workers that leave, postponed when the store fails."""

from typing import cast

import pytest
from redis import Redis

from jobs import keys
from jobs.errors import QueueFull, TooManyWaiting
from jobs.limits import WaitingCaps
from jobs.records.claim import ClaimStatus
from jobs.records.claims import Claims
from jobs.records.counts import count_jobs
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.overview import Overview
from jobs.records.queue_repair import QueueRepair
from jobs.records.record import ANY_SUBMITTER, JobRecords
from jobs.status import Failure, JobState, Postponement, Result
from jobs.validation.request import parse_request
from tests.jobs.conftest import Open
from tests.jobs.records.test_claims import claimed

FULL = Failure(code="storage_full", message="the picture store failed: No space left on device")
PAUSES = (10.0, 20.0, 40.0)


@pytest.fixture
def claims(redis: Redis) -> Claims:
    return Claims(
        redis,
        lease_seconds=60,
        max_attempts=3,
        result_ttl_seconds=600,
        max_hand_backs=4,
        pauses=PAUSES,
        pauses_window=3600,
    )


def end_pauses(redis: Redis) -> None:
    """Let every pause end now."""
    for job_id in cast(list[str], redis.zrange(keys.postponed("standard"), 0, -1)):
        redis.zadd(keys.postponed("standard"), {job_id: 0})


def test_a_job_handed_back_too_often_pays_with_its_attempts(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    attempts = []
    for _ in range(500):
        if not (claim := claims.claim("standard", "worker")):
            break
        claims.hand_back(claim)
        attempts.append(records.get(job_id).attempts)
    assert attempts == [0, 0, 0, 0, 1, 2, 3]
    status = records.get(job_id)
    assert status.state is JobState.FAILURE
    assert status.failure
    assert status.failure.code == "worker_died"
    assert "more than 4 times" in status.failure.message
    assert redis.hexists(keys.DELETIONS, job_id)


def test_a_postponed_job_waits_says_why_and_returns_when_its_pause_is_over(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis, result: Result
) -> None:
    job_id, other = open_job(), open_job()
    before = redis.time()[0]
    assert claims.postpone(claimed(claims), FULL) is ClaimStatus.HELD
    status = records.get(job_id)
    assert (status.state, status.attempts, status.queue_position) == (JobState.PENDING, 0, None)
    assert status.postponed
    assert (status.postponed.times, status.postponed.most) == (1, 3)
    assert status.postponed.failure == FULL
    assert status.postponed.retry_at
    assert 10 <= status.postponed.retry_at - before < 20
    assert redis.zcard(keys.LEASES) == 0
    assert claims.release_postponed() == ()
    assert claimed(claims).job_id == other

    end_pauses(redis)
    assert claims.release_postponed() == ((job_id, "standard"),)
    assert claims.release_postponed() == ()
    status = records.get(job_id)
    assert status.queue_position == 1
    assert status.postponed == Postponement(times=1, most=3, failure=FULL, retry_at=None)
    claim = claimed(claims)
    assert (claim.job_id, claim.attempt) == (job_id, 1)
    assert claims.finish(claim, result) is ClaimStatus.HELD
    assert records.get(job_id).postponed is None


def test_pauses_grow_and_after_the_last_the_job_fails_with_the_failure(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    pauses = []
    for _ in PAUSES:
        now = redis.time()[0]
        claims.postpone(claimed(claims), FULL)
        postponed = records.get(job_id).postponed
        assert postponed
        assert postponed.retry_at
        pauses.append(round(postponed.retry_at - now, -1))
        end_pauses(redis)
        claims.release_postponed()
    assert pauses == list(PAUSES)
    assert claims.postpone(claimed(claims), FULL) is ClaimStatus.HELD
    status = records.get(job_id)
    assert (status.state, status.failure, status.postponed) == (JobState.FAILURE, FULL, None)
    assert redis.hexists(keys.DELETIONS, job_id)
    assert count_jobs(redis).ended[JobState.FAILURE] == 1


def test_another_outage_counts_anew(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    for _ in range(20):
        claims.postpone(claimed(claims), FULL)
        status = records.get(job_id)
        assert status.postponed
        assert status.postponed.times == 1
        redis.hincrbyfloat(keys.job(job_id), "postponed_at", -3601)
        end_pauses(redis)
        claims.release_postponed()


def test_a_postponed_job_that_is_found_by_its_record_does_not_count_twice(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    claims.postpone(claimed(claims), FULL)
    redis.delete(keys.postponed("standard"))  # by hand
    redis.hset(keys.job(job_id), "retry_at", 0)
    assert QueueRepair(redis).step() == 1
    assert records.queue_position(job_id) == 1
    assert redis.zcard(keys.submitter_postponed("standard", "")) == 0


def test_a_postponed_job_can_be_cancelled(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    claims.postpone(claimed(claims), FULL)
    assert records.cancel(job_id) is JobState.CANCELLED
    status = records.get(job_id)
    assert (status.state, status.postponed) == (JobState.CANCELLED, None)
    end_pauses(redis)
    assert claims.release_postponed() == ()
    assert not redis.keys(f"{keys.POSTPONED}*")


def test_a_cancellation_beats_a_postponement(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    claim = claimed(claims)
    records.cancel(job_id)
    assert claims.postpone(claim, FULL) is ClaimStatus.CANCEL
    assert claims.cancelled(claim) is ClaimStatus.HELD
    assert records.get(job_id).state is JobState.CANCELLED
    assert claims.postpone(claim, FULL) is ClaimStatus.LOST


@pytest.mark.parametrize("caps", [WaitingCaps(per_submitter=2), WaitingCaps(total=2)])
def test_postponed_jobs_count_as_waiting(redis: Redis, claims: Claims, caps: WaitingCaps) -> None:
    records = JobRecords(redis, result_ttl_seconds=600, caps=caps)

    def submit() -> str:
        request = parse_request("txt2img", {"prompt": "a", "type": "standard"})
        settled = request.settled(model="tiny", seed=1)
        job = NewJob(job_id=new_job_id(), request=settled, model="tiny", submitter="anna")
        return records.open(job).job_id

    first, second = submit(), submit()
    for _ in range(2):
        claims.postpone(claimed(claims), FULL)
    with pytest.raises((TooManyWaiting, QueueFull)):
        submit()
    assert count_jobs(redis).waiting["standard"] == 2
    overview = Overview(redis, records)
    for of in ("anna", ANY_SUBMITTER):
        assert {job.job_id for job in overview.under_way(of=of)} == {first, second}
    assert overview.under_way(of="bert") == ()
    records.cancel(first)
    submit()


def test_a_clock_set_back_does_not_lengthen_a_pause(
    claims: Claims, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    claims.postpone(claimed(claims), FULL)
    redis.zincrby(keys.postponed("standard"), 3600, job_id)
    assert claims.release_postponed() == ((job_id, "standard"),)


def test_each_job_of_a_returning_crowd_takes_its_turn(
    claims: Claims, records: JobRecords, redis: Redis
) -> None:
    """Jobs that were postponed do not come before everybody else's."""

    def submit(submitter: str) -> str:
        request = parse_request("txt2img", {"prompt": "a", "type": "standard"})
        settled = request.settled(model="tiny", seed=1)
        job = NewJob(job_id=new_job_id(), request=settled, model="tiny", submitter=submitter)
        return records.open(job).job_id

    crowd = [submit("anna") for _ in range(4)]
    for _ in crowd:
        claims.postpone(claimed(claims), FULL)
    others = [submit("bert") for _ in range(4)]
    end_pauses(redis)
    claims.release_postponed()
    taken = [claimed(claims).job_id for _ in range(8)]
    assert [job in crowd for job in taken[:4]].count(True) == 2
    assert [job for job in taken if job in others] == others
