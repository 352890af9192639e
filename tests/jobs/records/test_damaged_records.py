"""A record that was edited by hand, or that lacks fields, holds up no other job."""

from collections.abc import Callable
from typing import cast

import pytest
from redis import Redis
from structlog.testing import capture_logs

from jobs import keys
from jobs.errors import JobAlreadyFinal, UnreadableRecord
from jobs.records.claims import Claims
from jobs.records.expiry import Expiry, Retention
from jobs.records.overview import Overview
from jobs.records.record import ANY_SUBMITTER, JobRecords
from jobs.status import JobState, Result
from tests.jobs.conftest import Open
from tests.jobs.leases import reapers_run

FIELDS = (
    *("version", "state", "kind", "type", "priority", "request", "inputs", "model", "warnings"),
    *("submitter", "submitted", "waiting", "order", "attempts", "token", "fraction"),
)
Damage = Callable[[str], None]


@pytest.fixture(params=["missing", "nonsense", "empty"])
def damage(request: pytest.FixtureRequest, redis: Redis, field: str) -> Damage:
    """Takes a field from a record, or writes nonsense into it."""

    def damage(job_id: str) -> None:
        if request.param == "missing":
            redis.hdel(keys.job(job_id), field)
        else:
            redis.hset(keys.job(job_id), field, "{" if request.param == "nonsense" else "")

    return damage


@pytest.fixture(params=FIELDS)
def field(request: pytest.FixtureRequest) -> str:
    return request.param


def finished(claims: Claims, result: Result, *, pictures: bool = False) -> str:
    claim = claims.claim("standard", "worker")
    assert claim
    if pictures:
        claims.publishing(claim, [f"{claim.job_id}_0.png"], size=9, saved=True)
    claims.finish(claim, result)
    return claim.job_id


def test_a_damaged_waiting_job_does_not_stop_the_queue(
    damage: Damage, records: JobRecords, claims: Claims, open_job: Open, redis: Redis
) -> None:
    bad, good = open_job(), open_job()
    damage(bad)
    listed = Overview(redis, records).under_way(of=ANY_SUBMITTER)
    assert good in [status.job_id for status in listed]
    assert good in records.snapshots({bad: 0, good: 0})
    claims.overdue("standard", seconds=0.001)
    claimed = []
    while claim := claims.claim("standard", "worker"):
        claimed.append(claim.job_id)
    assert good in claimed
    # the damaged job is claimed, or it ends with a reason, or its record names no state at all
    state = redis.hget(keys.job(bad), "state")
    assert bad in claimed or state in ("FAILURE", None, "", "{")
    assert redis.zcard(keys.queue("standard")) == 0
    assert redis.zcard(keys.LEASES) == len(claimed)


def test_a_damaged_running_job_does_not_stop_the_reaper(
    damage: Damage, claims: Claims, open_job: Open, redis: Redis
) -> None:
    bad, good = open_job(), open_job()
    for _ in range(2):
        assert claims.claim("standard", "worker")
    damage(bad)
    redis.zadd(keys.LEASES, {bad: 0, good: 1})
    reapers_run(redis)
    assert (good, JobState.PENDING) in [(job.job_id, job.state) for job in claims.reap()]
    assert redis.zcard(keys.LEASES) == 0
    assert claims.reap() == ()
    assert redis.hget(keys.job(bad), "state") in ("PENDING", "FAILURE", None, "", "{")


def test_a_damaged_ended_job_does_not_stop_lists_or_expiry(
    damage: Damage,
    records: JobRecords,
    claims: Claims,
    open_job: Open,
    redis: Redis,
    result: Result,
) -> None:
    for _ in range(2):
        open_job()
    bad, good = (finished(claims, result, pictures=True) for _ in range(2))
    damage(bad)
    redis.hdel(keys.PICTURE_BYTES, bad)
    listed = Overview(redis, records).finished(of=ANY_SUBMITTER, of_all=10)
    assert good in [status.job_id for status in listed]
    expiry = Expiry(redis, Retention(transient_seconds=600, saved_seconds=1))
    redis.zadd(keys.PICTURES + keys.SAVED, {bad: 0, good: 1})
    assert set(expiry.expire()) == {bad, good}
    assert expiry.expire() == ()


def test_a_damaged_job_can_be_cancelled(
    damage: Damage, records: JobRecords, open_job: Open, field: str
) -> None:
    bad = open_job()
    damage(bad)
    if field == "state":
        return
    assert records.cancel(bad) is JobState.CANCELLED
    with pytest.raises(JobAlreadyFinal):
        records.cancel(bad)


def test_a_record_of_another_sort_is_named_and_stops_nothing(
    records: JobRecords, claims: Claims, open_job: Open, redis: Redis
) -> None:
    bad, good = open_job(), open_job()
    for _ in range(2):
        assert claims.claim("standard", "worker")
    redis.set(keys.job(bad), "x")
    with pytest.raises(UnreadableRecord, match=f"{bad} .*WRONGTYPE"):
        records.get(bad)
    with capture_logs() as logs:
        for _ in range(3):
            assert list(records.snapshots({bad: 0, good: 0})) == [good]
    assert [entry["job"] for entry in logs] == [bad]
    redis.zadd(keys.LEASES, {bad: 0, good: 1})
    reapers_run(redis)
    assert good in [job.job_id for job in claims.reap()]
    assert redis.zcard(keys.LEASES) == 0


def test_the_log_names_a_job_that_cannot_be_executed(
    records: JobRecords, claims: Claims, open_job: Open, redis: Redis
) -> None:
    bad, good = open_job(), open_job()
    redis.hdel(keys.job(bad), "request")
    with capture_logs() as logs:
        claim = claims.claim("standard", "worker")
    assert claim
    assert claim.job_id == good
    assert [entry["job"] for entry in logs] == [bad]
    failure = records.get(bad).failure
    assert failure
    assert (failure.code, "damaged" in failure.message) == ("internal_error", True)
    assert cast(int, redis.ttl(keys.job(bad))) > 0


def test_pictures_without_names_expire_once(redis: Redis) -> None:
    redis.zadd(keys.PICTURES + keys.SAVED, {"of-nothing": 0})
    expiry = Expiry(redis, Retention(transient_seconds=600, saved_seconds=1))
    assert expiry.expire() == ("of-nothing",)
    assert expiry.expire() == ()
