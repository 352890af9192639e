"""A storm of random steps on the records of a few jobs, held against what must never happen."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from jobs import keys
from jobs.claims import Claim, Claims, Hold
from jobs.connection import connect
from jobs.errors import JobAlreadyFinal
from jobs.record import JobRecords, NewJob, new_job_id
from jobs.request import parse_request
from jobs.status import Failure, JobState, Progress, Result

REQUEST = parse_request("txt2img", {"prompt": "a", "type": "standard"})
DONE = Result(
    images=(),
    format="png",
    model="tiny",
    model_hash="",
    sampler="ddim",
    steps=1,
    executed_steps=1,
    prompt={},
    timings={},
)


class Life(RuleBasedStateMachine):
    """Workers come, vanish, wake up again and report late; clients cancel."""

    redis: Redis

    def __init__(self) -> None:
        super().__init__()
        self.redis.flushall()
        self.records = JobRecords(self.redis, result_ttl_seconds=600)
        self.claims = Claims(self.redis, lease_seconds=60, max_attempts=3, result_ttl_seconds=600)
        self.jobs: list[str] = []
        self.held: list[Claim] = []
        self.final: dict[str, JobState] = {}
        self.fractions: dict[str, float] = {}
        self.ends_told: dict[str, int] = {}

    @rule()
    def submit(self) -> None:
        request = REQUEST.settled(model="tiny", seed=1)
        job = NewJob(job_id=new_job_id(), request=request, model="tiny")
        self.records.open(job)
        self.jobs.append(job.job_id)

    @rule()
    def claim(self) -> None:
        claim = self.claims.claim("standard", "worker")
        if claim:
            assert claim.attempt <= 3
            self.held.append(claim)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), step=st.sampled_from(["finish", "fail", "cancelled", "hand_back"]))
    def end(self, data: st.DataObject, step: str) -> None:
        claim = data.draw(st.sampled_from(self.held))
        endings: dict[str, Any] = {
            "finish": lambda: self.claims.finish(claim, DONE),
            "fail": lambda: self.claims.fail(claim, Failure(code="x", message="x")),
            "cancelled": lambda: self.claims.cancelled(claim),
            "hand_back": lambda: self.claims.hand_back(claim),
        }
        if endings[step]() is Hold.HELD and step != "hand_back":
            self.ends_told[claim.job_id] = self.ends_told.get(claim.job_id, 0) + 1

    @precondition(lambda self: self.held)
    @rule(data=st.data(), fraction=st.floats(0, 0.99))
    def report(self, data: st.DataObject, fraction: float) -> None:
        claim = data.draw(st.sampled_from(self.held))
        self.claims.report(claim, Progress(step=1, steps=2, fraction=fraction))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        self.claims.renew(data.draw(st.sampled_from(self.held)))

    @rule()
    def every_worker_vanishes(self) -> None:
        for job_id in self.jobs:
            self.redis.zadd(keys.LEASES, {job_id: 0}, xx=True)
        self.claims.reap()

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.jobs))
        try:
            self.records.cancel(job_id)
        except JobAlreadyFinal:
            assert job_id in self.final

    @invariant()
    def nothing_is_lost_and_nothing_goes_back(self) -> None:
        for job_id in self.jobs:
            status = self.records.get(job_id)
            assert self.final.get(job_id, status.state) == status.state
            assert status.fraction >= self.fractions.get(job_id, 0)
            self.fractions[job_id] = status.fraction
            if status.state.final:
                self.final[job_id] = status.state
            assert self.ends_told.get(job_id, 0) <= 1
            assert (status.place is not None) == (status.state is JobState.PENDING)
        # a job waits, or is somebody's, or has ended: nothing in between, nothing twice
        waiting = self.redis.zrange(keys.queue("standard"), 0, -1)
        leased = self.redis.zrange(keys.LEASES, 0, -1)
        assert sorted([*waiting, *leased, *self.final]) == sorted(self.jobs)

    def teardown(self) -> None:
        """Calm after the storm: whatever still waits can be run to its end, once."""
        self.every_worker_vanishes()
        while claim := self.claims.claim("standard", "worker"):
            assert self.claims.finish(claim, DONE) is Hold.HELD
        for job_id in self.jobs:
            assert self.records.get(job_id).state.final


@pytest.fixture
def machine(redis_url: str) -> type[Life]:
    Life.redis = connect(redis_url)
    return Life


def test_no_job_is_lost_and_none_ends_twice(machine: type[Life]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None)
    )
