"""Jobs that a process of the version before has enqueued, during an update."""

from typing import cast

from redis import Redis

from jobs import keys
from jobs.records.claims import Claims
from jobs.records.record import JobRecords
from jobs.status import JobState
from tests.jobs.records.test_fair_queue import order, sent

PRIORITY = 10**12


def old_submitter_queue(submitter: str) -> str:
    return f"{keys.OLD_QUEUE}standard:{submitter}"


def as_the_version_before(redis: Redis, *jobs: str) -> None:
    """Put waiting jobs into the queues that the version before keeps them in."""
    for job_id in jobs:
        record = cast(dict[str, str], redis.hgetall(keys.job(job_id)))
        submitter, priority = record["submitter"], int(record["priority"])
        redis.hdel(keys.job(job_id), "place")
        redis.zrem(keys.queue("standard"), record["place"])
        redis.zrem(keys.submitter_queue("standard", submitter), job_id)
        arrival = int(record["order"])
        score = (9 - priority) * PRIORITY + arrival
        redis.zadd(keys.OLD_QUEUE + "standard", {job_id: arrival})
        redis.zadd(old_submitter_queue(submitter), {job_id: score})
        redis.zadd(keys.OLD_ACTIVE + "standard", {submitter: 0})
        redis.zadd(keys.OLD_IDLE + "standard", {"carl": 7})
        redis.set(keys.OLD_VIRTUAL_TIME + "standard", 6)


def test_jobs_of_the_version_before_are_drawn_in_turn(
    records: JobRecords, claims: Claims, redis: Redis
) -> None:
    low, high, other = (
        sent(records, submitter, priority)
        for submitter, priority in (("anna", 0), ("anna", 5), ("bert", 0))
    )
    as_the_version_before(redis, low, high, other)
    assert sorted(records.queue_position(job) or 0 for job in (low, high, other)) == [1, 2, 3]
    new = sent(records, "carl")
    assert records.waiting("standard") == 4
    jobs = (low, high, other, new)
    by_position = sorted(jobs, key=lambda job: records.queue_position(job) or 0)
    assert order(claims, 4) == by_position == [high, other, new, low]
    for name in (keys.OLD_QUEUE, keys.OLD_ACTIVE, keys.OLD_IDLE, keys.OLD_VIRTUAL_TIME):
        assert redis.keys(f"{name}*") == []


def test_jobs_of_both_versions_are_drawn_in_one_order(
    records: JobRecords, claims: Claims, redis: Redis
) -> None:
    jobs = [sent(records, "anna") for _ in range(10)]
    as_the_version_before(redis, *jobs[::2])
    assert claims.overdue("standard", seconds=60) == 0
    assert [records.queue_position(job) for job in jobs] == list(range(1, 11))
    assert order(claims, 10) == jobs


def test_either_version_may_cancel_the_jobs_of_the_other(
    records: JobRecords, claims: Claims, redis: Redis
) -> None:
    old, ours, kept = (sent(records, submitter) for submitter in ("anna", "bert", "anna"))
    as_the_version_before(redis, old)
    assert records.cancel(old) is JobState.CANCELLED
    assert redis.keys(f"{keys.OLD_QUEUE}*") == redis.keys(f"{keys.OLD_ACTIVE}*") == []
    # the version before does not know the queue that this job is in
    redis.hset(keys.job(ours), mapping={"state": "CANCELLED", "cancel": 1})
    assert order(claims, 1) == [kept]
    assert claims.claim("standard", "worker") is None
    assert redis.exists(keys.queue("standard")) == 0


def test_an_old_queue_with_a_key_deleted_by_hand_is_drawn(
    records: JobRecords, claims: Claims, redis: Redis
) -> None:
    jobs = [sent(records, submitter) for submitter in ("anna", "bert", "anna")]
    as_the_version_before(redis, *jobs)
    redis.delete(old_submitter_queue("anna"))
    assert sorted(order(claims, 3)) == sorted(jobs)


def test_a_long_old_queue_is_moved_in_parts(
    records: JobRecords, claims: Claims, redis: Redis
) -> None:
    jobs = [sent(records, "anna") for _ in range(600)]
    as_the_version_before(redis, *jobs)
    assert order(claims, 1) == jobs[:1]
    assert redis.zcard(keys.OLD_QUEUE + "standard") == 100
    assert records.queue_position(jobs[-1]) == 599
    assert order(claims, 599) == jobs[1:]
