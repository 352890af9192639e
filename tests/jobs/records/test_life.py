"""A storm of random steps on the records of a few jobs, held against what must never happen.

The steps are the real ones on a real Valkey; only the clock is the test's, which every step reads
where it would have read Redis' own.
"""

import json
from typing import Any, cast

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
from redis.commands.core import Script

from jobs import keys
from jobs.errors import JobAlreadyFinal, JobExpired, NoSuchJob
from jobs.records.claim import Claim, ClaimStatus
from jobs.records.claims import Claims
from jobs.records.idempotency import IdempotentRequest
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.records.shared_lua import CLOCK
from jobs.status import Failure, JobState, Preview, Progress, Result
from jobs.validation.request import parse_request

LEASE = 60
RETENTION = 100 * LEASE  # longer than all steps of a life: no message of an end expires in it
HAND_BACKS = 2
PAUSES = (1.0, LEASE / 2)
SUBMITTERS = st.sampled_from(["anna", "bert"])
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
BLURRED = Preview(step=1, steps=2, image=1, width=1, height=1, jpeg="")
ENDINGS = ["finish", "fail", "cancelled", "hand_back", "postpone"]
RUNNING = (JobState.LOADING, JobState.PROGRESS)


class ClockedRedis(Redis):
    """A client whose steps read the time from a key."""

    def register_script(self, script: Any) -> Script:
        assert CLOCK in script
        clock = "local function now() return tonumber(redis.call('GET', 'clock')) end\n"
        return super().register_script(script.replace(CLOCK, clock))


class Life(RuleBasedStateMachine):
    """Workers come, vanish, wake up again and report late; clients cancel; time passes.

    Attributes:
        reaped: when `reap` was last called; None: never.
        reaping_from: when leases may be taken again, after a gap of more than half a lease.
        pauses: until when each postponed job waits.
        handed_back, postponed: how often each job was.
    """

    redis: Redis

    def __init__(self) -> None:
        super().__init__()
        self.redis.flushall()
        self.records = JobRecords(self.redis, result_ttl_seconds=RETENTION)
        self.claims = Claims(
            self.redis,
            lease_seconds=LEASE,
            max_attempts=3,
            result_ttl_seconds=RETENTION,
            max_hand_backs=HAND_BACKS,
            pauses=PAUSES,
            pauses_window=10 * LEASE,
        )
        self.now = 1_000_000.0
        self.pass_time(0)
        self.jobs: dict[str, str] = {}
        self.named: dict[tuple[str, int], str] = {}
        self.held: list[Claim] = []
        self.leases: dict[str, float] = {}
        self.reaped: float | None = None
        self.reaping_from = 0.0
        self.pauses: dict[str, float] = {}
        self.postponed: dict[str, tuple[int, float]] = {}
        self.handed_back: dict[str, int] = {}
        self.started: dict[str, int] = {}
        self.published: dict[str, str] = {}
        self.final: dict[str, JobState] = {}
        self.fractions: dict[str, float] = {}
        self.end_messages: dict[str, int] = {}
        self.deleted: set[str] = set()

    @rule(seconds=st.sampled_from([0.001, 1, LEASE / 3, LEASE - 0.001, LEASE, LEASE + 0.001]))
    def pass_time(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 3)
        self.redis.set("clock", f"{self.now:.6f}")

    @rule(submitter=SUBMITTERS, priority=st.integers(0, 1), name=st.none() | st.integers(0, 2))
    def submit(self, submitter: str, priority: int, name: int | None) -> None:
        body = {"prompt": "a", "type": "standard", "priority": priority, "webhook": "https://h/"}
        request = parse_request("txt2img", body).settled(model="tiny", seed=1)
        again = None
        if name is not None:
            again = IdempotentRequest.of(str(name), "txt2img", {}, submitter=submitter)
        accepted = self.records.open(
            NewJob(
                job_id=new_job_id(),
                request=request,
                model="tiny",
                submitter=submitter,
                idempotent=again,
            )
        )
        if name is not None:
            known = self.named.setdefault((submitter, name), accepted.job_id)
            assert known == accepted.job_id
        self.jobs[accepted.job_id] = submitter

    @rule()
    def claim(self) -> None:
        claim = self.claims.claim("standard", "worker")
        if claim:
            assert claim.attempt <= 3
            self.held.append(claim)
            self.leases[claim.job_id] = self.now + LEASE
            self.started[claim.job_id] = self.started.get(claim.job_id, 0) + 1

    @precondition(lambda self: self.held)
    @rule(data=st.data(), step=st.sampled_from(ENDINGS))
    def end(self, data: st.DataObject, step: str) -> None:
        claim = data.draw(st.sampled_from(self.held))
        endings: dict[str, Any] = {
            "finish": lambda: self.claims.finish(claim, DONE),
            "fail": lambda: self.claims.fail(claim, Failure(code="x", message="x")),
            "cancelled": lambda: self.claims.cancelled(claim),
            "hand_back": lambda: self.claims.hand_back(claim),
            "postpone": lambda: self.claims.postpone(claim, Failure(code="x", message="x")),
        }
        if endings[step]() is ClaimStatus.HELD:
            del self.leases[claim.job_id]
            returned = {"hand_back": self.was_handed_back, "postpone": self.was_postponed}
            if step not in returned or not returned[step](claim.job_id):
                self.end_messages[claim.job_id] = self.end_messages.get(claim.job_id, 0) + 1

    def was_handed_back(self, job_id: str) -> bool:
        """The attempt does not count, except beyond the bound."""
        self.handed_back[job_id] = self.handed_back.get(job_id, 0) + 1
        self.started[job_id] -= self.handed_back[job_id] <= HAND_BACKS
        return True

    def was_postponed(self, job_id: str) -> bool:
        """False: no pause was left, so the job has failed."""
        times, last = self.postponed.get(job_id, (0, 0.0))
        times = times if self.now - last <= 10 * LEASE else 0
        if times == len(PAUSES):
            return False
        self.postponed[job_id] = times + 1, self.now
        self.pauses[job_id] = self.now + PAUSES[times]
        self.started[job_id] -= 1
        return True

    @rule()
    def release(self) -> None:
        """Exactly the jobs whose pause is over return to the queue."""
        over = {job_id for job_id, until in self.pauses.items() if until <= self.now}
        assert {job_id for job_id, _ in self.claims.release_postponed()} == over
        for job_id in over:
            del self.pauses[job_id]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def publish(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.held))
        name = f"{claim.job_id}_0.png"
        if self.claims.publishing(claim, [name], size=1, saved=True) is not ClaimStatus.LOST:
            self.published[claim.job_id] = name

    @precondition(lambda self: self.held)
    @rule(data=st.data(), fraction=st.floats(0, 0.99))
    def report(self, data: st.DataObject, fraction: float) -> None:
        claim = data.draw(st.sampled_from(self.held))
        self.claims.report(claim, Progress(step=1, steps=2, fraction=fraction))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def show_preview(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.held))
        self.claims.preview(claim, BLURRED)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.held))
        if self.claims.renew(claim) is not ClaimStatus.LOST:
            self.leases[claim.job_id] = self.now + LEASE

    @rule()
    def reap(self) -> None:
        """Exactly what has run out is taken away: not a millisecond before, and all of it.

        Nothing is for half a lease after a gap between two calls that was longer than that.
        """
        if self.reaped is None or self.now - self.reaped > LEASE / 2:
            self.reaping_from = self.now + LEASE / 2
        self.reaped = self.now
        lapsed = {job_id for job_id, until in self.leases.items() if until <= self.now}
        lapsed = lapsed if self.now >= self.reaping_from else set[str]()
        assert {orphan.job_id for orphan in self.claims.reap()} == lapsed
        for job_id in lapsed:
            del self.leases[job_id]

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), by=SUBMITTERS, forget=st.booleans())
    def cancel(self, data: st.DataObject, by: str, forget: bool) -> None:
        job_id = data.draw(st.sampled_from(list(self.jobs)))
        theirs = self.jobs[job_id] != by
        try:
            state = (self.records.delete if forget else self.records.cancel)(job_id, by=by)
        except NoSuchJob:
            assert theirs
        except JobAlreadyFinal:
            assert not theirs
            assert job_id in self.final
        except JobExpired:
            assert job_id in self.deleted
        else:
            assert not theirs
            if state is JobState.SUCCESS:
                assert self.final[job_id] is JobState.SUCCESS
                self.deleted.add(job_id)
                # the same request is a new job from now on
                self.named = {key: named for key, named in self.named.items() if named != job_id}

    @invariant()
    def nothing_is_lost_and_nothing_goes_back(self) -> None:
        positions = []
        for job_id in self.jobs:
            if job_id in self.deleted:
                continue
            status = self.records.get(job_id)
            assert self.final.get(job_id, status.state) == status.state
            assert status.fraction >= self.fractions.get(job_id, 0)
            assert status.attempts == self.started.get(job_id, 0) <= 3
            self.fractions[job_id] = status.fraction
            if status.state.final:
                self.final[job_id] = status.state
                self.leases.pop(job_id, None)
                self.pauses.pop(job_id, None)
            assert self.end_messages.get(job_id, 0) <= 1
            in_queue = status.state is JobState.PENDING and job_id not in self.pauses
            assert (status.queue_position is not None) == in_queue
            assert (job_id in self.leases) == (status.state in RUNNING)
            if status.queue_position is not None:
                positions.append(status.queue_position)
            assert status.state in RUNNING or not self.redis.exists(keys.preview(job_id))
            assert self.records.snapshots({job_id: 0})[job_id].status == status
        assert sorted(positions) == list(range(1, len(positions) + 1))
        self.every_file_of_an_ended_job_is_accounted_for()
        self.every_end_has_one_message()
        self.the_bytes_of_every_unended_job_are_counted()
        # a job waits, or is leased, or has ended: nothing in between, nothing twice
        places = cast(list[str], self.redis.zrange(keys.queue("standard"), 0, -1))
        waiting = [keys.job_of(place) for place in places]
        paused = self.redis.zrange(keys.postponed("standard"), 0, -1)
        assert sorted(paused) == sorted(self.pauses)
        leased = self.redis.zrange(keys.LEASES, 0, -1)
        assert sorted([*waiting, *paused, *leased, *self.final]) == sorted(self.jobs)

    def every_file_of_an_ended_job_is_accounted_for(self) -> None:
        deletions = self.redis.hgetall(keys.DELETIONS)
        kept = self.redis.hgetall(keys.PICTURE_NAMES)
        assert deletions.keys() == self.final.keys()
        for job_id, name in self.published.items():
            stays = self.final.get(job_id) is JobState.SUCCESS and job_id not in self.deleted
            assert kept.get(job_id) == (json.dumps([name]) if stays else None)
            if job_id in self.final and not stays:
                assert json.loads(deletions[job_id]) == [name]
        assert int(self.redis.get(keys.PICTURE_BYTES_TOTAL) or 0) == len(kept)

    def every_end_has_one_message(self) -> None:
        messages = cast(list[str], self.redis.zrange(keys.DELIVERIES, 0, -1))
        ends = [name.split(".")[0] for name in messages if not name.endswith(".started")]
        assert sorted(ends) == sorted(self.final)

    def the_bytes_of_every_unended_job_are_counted(self) -> None:
        for submitter in ("anna", "bert"):
            counted = self.redis.hgetall(keys.key_bytes(submitter))
            unended = int(counted.pop("unended", 0))
            counted.pop("ended", None)
            own = {job_id for job_id, owner in self.jobs.items() if owner == submitter}
            assert counted.keys() == own - self.final.keys()
            assert unended == sum(map(int, counted.values()))

    def teardown(self) -> None:
        """Calm after the storm: whatever still waits can be run to its end, once."""
        for _ in range(4):  # a lease, and half of one in case this is the first call after a gap
            self.pass_time(LEASE / 2)
            self.reap()
        self.release()
        while claim := self.claims.claim("standard", "worker"):
            assert self.claims.finish(claim, DONE) is ClaimStatus.HELD
        for job_id in self.jobs.keys() - self.deleted:
            assert self.records.get(job_id).state.final
        found = cast(list[str], self.redis.keys(f"{keys.PREFIX}*"))
        left = {key.split(":")[1] for key in found}
        assert left.isdisjoint({"fair-queue", "leases", "preview", "postponed"})


@pytest.fixture
def machine(redis_url: str) -> type[Life]:
    Life.redis = ClockedRedis.from_url(redis_url, decode_responses=True)
    return Life


def test_no_job_is_lost_and_none_ends_twice(machine: type[Life]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None)
    )


def test_a_lease_ends_when_it_ends_and_not_a_millisecond_before(machine: type[Life]) -> None:
    life = machine()
    life.submit("anna", 0, None)
    life.claim()
    for _ in range(3):
        assert life.claims.reap() == ()
        life.pass_time(LEASE / 3 - 0.001)
    life.pass_time(0.002)
    assert life.claims.reap() == ()
    life.pass_time(0.001)
    assert len(life.claims.reap()) == 1


def test_what_was_published_of_a_job_that_failed_is_to_be_deleted(machine: type[Life]) -> None:
    life = machine()
    life.submit("anna", 0, None)
    life.claim()
    (claim,) = life.held
    life.claims.publishing(claim, ["a.png"], size=1, saved=True)
    life.claims.fail(claim, Failure(code="x", message="x"))
    assert life.redis.hgetall(keys.DELETIONS) == {claim.job_id: '["a.png"]'}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_job_is_lost_in_thousands_of_lives(machine: type[Life]) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=3000, stateful_step_count=60, deadline=None)
    )
