from redis import Redis

from jobs import keys
from jobs.records.claim import Claim, ClaimStatus
from jobs.records.claims import Claims
from jobs.records.record import JobRecords
from jobs.status import Failure, JobState, Progress, Result
from tests.jobs.conftest import Open
from tests.jobs.leases import lapse, reapers_run


def claimed(claims: Claims, owner: str = "worker") -> Claim:
    claim = claims.claim("standard", owner)
    assert claim
    return claim


def test_jobs_are_claimed_first_come_first_served(claims: Claims, open_job: Open) -> None:
    jobs = [open_job() for _ in range(3)]
    assert [claimed(claims).job_id for _ in jobs] == jobs
    assert claims.claim("standard", "worker") is None


def test_a_claim_has_all_that_the_job_needs(
    claims: Claims, records: JobRecords, open_job: Open
) -> None:
    job_id = open_job("a blue duck")
    claim = claimed(claims)
    assert (claim.job_id, claim.kind, claim.type, claim.model) == (
        job_id,
        "txt2img",
        "standard",
        "tiny",
    )
    assert "a blue duck" in claim.stored_request
    assert claim.attempt == 1
    status = records.get(job_id)
    assert (status.state, status.attempts, status.queue_position) == (JobState.LOADING, 1, None)
    assert status.started == claim.started >= claim.submitted


def test_a_job_whose_worker_vanished_goes_to_the_front_of_the_queue(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id, later = open_job(), open_job()
    first = claimed(claims)
    reapers_run(redis)
    assert claims.reap() == ()
    lapse(redis, first.job_id)
    (orphan,) = claims.reap()
    assert (orphan.job_id, orphan.type, orphan.state) == (job_id, "standard", JobState.PENDING)
    assert claims.reap() == ()
    assert (records.queue_position(job_id), records.queue_position(later)) == (1, 2)
    second = claimed(claims, "another")
    assert (second.job_id, second.attempt) == (job_id, 2)
    assert second.token > first.token


def test_a_worker_that_comes_back_too_late_changes_nothing(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis, result: Result
) -> None:
    job_id = open_job()
    late = claimed(claims)
    lapse(redis, late.job_id)
    claims.reap()
    half = Progress(step=1, steps=2, fraction=0.5)
    for given_away in (False, True):
        if given_away:
            claimed(claims, "another")
        before = records.get(job_id)
        assert claims.renew(late) is ClaimStatus.LOST
        assert claims.report(late, half) is ClaimStatus.LOST
        assert claims.warn(late, ("late",)) is ClaimStatus.LOST
        assert claims.finish(late, result) is ClaimStatus.LOST
        assert claims.fail(late, Failure(code="x", message="x")) is ClaimStatus.LOST
        assert claims.cancelled(late) is ClaimStatus.LOST
        assert claims.hand_back(late) is ClaimStatus.LOST
        assert records.get(job_id) == before


def test_a_lapsed_lease_that_nobody_took_can_still_be_renewed(
    claims: Claims, open_job: Open, redis: Redis
) -> None:
    open_job()
    claim = claimed(claims)
    lapse(redis, claim.job_id)
    assert claims.renew(claim) is ClaimStatus.HELD
    assert claims.reap() == ()


def test_a_job_that_kills_every_worker_fails_after_three(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    for attempt in (1, 2, 3):
        claim = claimed(claims)
        assert claim.attempt == attempt
        lapse(redis, claim.job_id)
        (orphan,) = claims.reap()
    assert orphan.state is JobState.FAILURE
    status = records.get(job_id)
    assert (status.state, status.attempts) == (JobState.FAILURE, 3)
    assert status.failure
    assert status.failure.code == "worker_died"
    assert claims.claim("standard", "worker") is None


def test_a_cancelled_job_whose_worker_vanished_is_cancelled(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    claim = claimed(claims)
    records.cancel(job_id)
    lapse(redis, claim.job_id)
    (orphan,) = claims.reap()
    assert orphan.state is JobState.CANCELLED
    assert records.get(job_id).state is JobState.CANCELLED


def test_a_job_handed_back_keeps_its_position_and_its_attempts(
    claims: Claims, records: JobRecords, open_job: Open
) -> None:
    job_id, later = open_job(), open_job()
    claim = claimed(claims)
    assert claims.hand_back(claim) is ClaimStatus.HELD
    status = records.get(job_id)
    assert (status.state, status.queue_position, status.attempts) == (JobState.PENDING, 1, 0)
    assert records.queue_position(later) == 2
    assert claims.renew(claim) is ClaimStatus.LOST
    assert claimed(claims).job_id == job_id


def test_a_cancellation_beats_a_success_a_failure_and_a_hand_back(
    claims: Claims, records: JobRecords, open_job: Open, result: Result
) -> None:
    job_id = open_job()
    claim = claimed(claims)
    records.cancel(job_id)
    assert claims.finish(claim, result) is ClaimStatus.CANCEL
    assert claims.fail(claim, Failure(code="x", message="x")) is ClaimStatus.CANCEL
    assert not records.get(job_id).state.final
    assert claims.hand_back(claim) is ClaimStatus.CANCEL
    assert records.get(job_id).state is JobState.CANCELLED


def test_a_final_state_never_changes(
    claims: Claims, records: JobRecords, open_job: Open, result: Result, redis: Redis
) -> None:
    job_id = open_job()
    claim = claimed(claims)
    assert claims.finish(claim, result) is ClaimStatus.HELD
    before = records.get(job_id)
    assert (before.state, before.result, before.fraction) == (JobState.SUCCESS, result, 1)
    assert claims.fail(claim, Failure(code="x", message="x")) is ClaimStatus.LOST
    assert claims.hand_back(claim) is ClaimStatus.LOST
    lapse(redis, claim.job_id)
    assert claims.reap() == ()
    assert records.get(job_id) == before


def test_progress_never_goes_back_whatever_is_reported(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    claim = claimed(claims)
    for fraction, shown in ((0.2, 0.2), (0.6, 0.6), (0.4, 0.6)):
        claims.report(claim, Progress(step=1, steps=10, fraction=fraction))
        status = records.get(job_id)
        assert (status.state, status.fraction) == (JobState.PROGRESS, shown)
    lapse(redis, claim.job_id)
    claims.reap()
    assert records.get(job_id).fraction == 0.6
    claims.report(claimed(claims), Progress(step=1, steps=10, fraction=0.1))
    assert records.get(job_id).fraction == 0.6


def test_jobs_that_wait_too_long_are_reported_to_one_worker_a_period(
    claims: Claims, open_job: Open, redis: Redis
) -> None:
    assert claims.overdue("standard", seconds=60) == 0
    first = open_job()
    open_job()
    assert claims.overdue("standard", seconds=60) == 0
    redis.hset(keys.job(first), "waiting", 0)
    assert claims.overdue("standard", seconds=60) == 2
    assert claims.overdue("standard", seconds=60) == 0
