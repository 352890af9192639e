"""Which leases have expired when Redis was frozen, lost time, or had its clock set."""

from collections.abc import Iterator
from typing import cast

import pytest
from redis import Redis

from jobs import keys
from jobs.records.claim import ClaimStatus
from jobs.records.claims import Claims
from jobs.records.record import JobRecords
from jobs.status import JobState
from tests.jobs.conftest import Open
from tests.jobs.leases import reapers_run
from tests.jobs.records.test_claims import claimed

LEASE = 60.0
HOUR = 3600.0


def step_clock(redis: Redis, seconds: float) -> None:
    """As if Redis' clock had jumped: all times that it has noted are now so much further back."""
    for job_id in cast(list[str], redis.zrange(keys.LEASES, 0, -1)):
        redis.zincrby(keys.LEASES, -seconds, job_id)
    for field in cast(list[str], redis.hkeys(keys.REAPER)):
        redis.hincrbyfloat(keys.REAPER, field, -seconds)


def test_the_calls_that_a_frozen_redis_finds_at_its_thaw_take_no_job(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    claim = claimed(claims)
    reapers_run(redis)
    step_clock(redis, LEASE + 1)
    for _ in range(5):  # those of several workers, and one worker's own, one after the other
        assert claims.reap() == ()
    assert claims.renew(claim) is ClaimStatus.HELD
    assert records.get(job_id).attempts == 1


def test_after_a_gap_a_dead_worker_s_job_is_taken_half_a_lease_later(
    claims: Claims, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    claimed(claims)
    reapers_run(redis)
    step_clock(redis, LEASE + 1)
    assert claims.reap() == ()
    step_clock(redis, LEASE / 2 - 5)  # reapers run on meanwhile
    assert claims.reap() == ()
    step_clock(redis, 10)
    assert [orphan.job_id for orphan in claims.reap()] == [job_id]


@pytest.mark.parametrize("seconds", [HOUR, LEASE / 2 + 1, 30 * 24 * HOUR])
def test_a_clock_set_forward_takes_no_job_of_a_living_worker(
    claims: Claims, open_job: Open, redis: Redis, seconds: float
) -> None:
    open_job()
    claim = claimed(claims)
    reapers_run(redis)
    step_clock(redis, seconds)
    assert claims.reap() == ()
    assert claims.renew(claim) is ClaimStatus.HELD
    step_clock(redis, LEASE / 2 - 5)
    assert claims.reap() == ()


@pytest.mark.parametrize("seconds", [HOUR, 2 * LEASE, 30 * 24 * HOUR])
def test_a_clock_set_back_keeps_no_dead_worker_s_job_for_longer_than_leases(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis, seconds: float
) -> None:
    job_id = open_job()
    claimed(claims)
    reapers_run(redis)
    step_clock(redis, -seconds)
    passed = 0.0
    while not (reaped := claims.reap()):
        step_clock(redis, 20)
        passed += 20
        assert passed <= 2 * LEASE
    assert [orphan.job_id for orphan in reaped] == [job_id]
    assert records.get(job_id).state is JobState.PENDING


def test_a_clock_set_back_takes_no_job_of_a_living_worker(
    claims: Claims, open_job: Open, redis: Redis
) -> None:
    open_job()
    claim = claimed(claims)
    reapers_run(redis)
    step_clock(redis, -HOUR)
    for _ in range(20):
        assert claims.reap() == ()
        assert claims.renew(claim) is ClaimStatus.HELD
        step_clock(redis, 20)


def test_a_message_lost_before_the_clock_was_set_back_is_sent_again(
    claims: Claims, open_job: Open, redis: Redis
) -> None:
    job_id = open_job()
    redis.hincrbyfloat(keys.job(job_id), "waiting", HOUR)
    assert claims.overdue("standard", seconds=10) == 1


def snapshot(redis: Redis) -> dict[str, bytes]:
    """Everything that Redis has, to be restored."""
    names = cast(list[str], redis.keys())
    dumped = (redis.execute_command("DUMP", name, NEVER_DECODE=True) for name in names)
    return dict(zip(names, cast(Iterator[bytes], dumped), strict=True))


def restore(redis: Redis, state: dict[str, bytes]) -> None:
    redis.flushall()
    for key, dumped in state.items():
        redis.restore(key, 0, dumped)


@pytest.mark.parametrize("second_worker", ["another", "worker"])
def test_a_token_given_out_twice_is_held_by_one(
    claims: Claims, records: JobRecords, open_job: Open, redis: Redis, second_worker: str
) -> None:
    """A killed Redis has lost its last second, and the claim in it."""
    job_id = open_job()
    saved = snapshot(redis)
    first = claimed(claims)
    restore(redis, saved)
    second = claimed(claims, second_worker)
    assert first.token == second.token
    before = records.get(job_id)
    assert claims.renew(first) is ClaimStatus.LOST
    assert claims.warn(first, ("the one before",)) is ClaimStatus.LOST
    assert claims.loading(first, 0.5) is ClaimStatus.LOST
    assert claims.publishing(first, ["a.png"], size=1, saved=True) is ClaimStatus.LOST
    assert claims.hand_back(first) is ClaimStatus.LOST
    assert records.get(job_id) == before
    assert claims.renew(second) is ClaimStatus.HELD
