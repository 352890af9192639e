"""Records that a later version of the code wrote, and requests that another version stored."""

import json

import pytest
from redis import Redis

from jobs import keys
from jobs.errors import InvalidRequest, UnreadableRecord
from jobs.names import JobType
from jobs.records.claims import Claims
from jobs.records.overview import Overview
from jobs.records.record import ANY_SUBMITTER, JobRecords
from jobs.records.record_fields import RECORD_VERSION
from jobs.status import JobState
from jobs.validation.request import TextToImage, parse_request
from jobs.validation.stored_request import read_stored
from tests.jobs.conftest import Open
from tests.jobs.leases import lapse

LATER = RECORD_VERSION + 1


def make_later(redis: Redis, job_id: str) -> None:
    """As if a later version had opened the job."""
    redis.hset(keys.job(job_id), "version", LATER)


def claimed(claims: Claims, job_type: JobType = "standard") -> str | None:
    claim = claims.claim(job_type, "worker")
    return claim and claim.job_id


def test_a_record_carries_the_version_of_its_fields(redis: Redis, open_job: Open) -> None:
    assert redis.hget(keys.job(open_job()), "version") == str(RECORD_VERSION)


def test_a_job_of_a_later_version_keeps_its_position_for_a_worker_that_can_read_it(
    redis: Redis, records: JobRecords, claims: Claims, open_job: Open
) -> None:
    first, later, third, also_later = (open_job() for _ in range(4))
    for job_id in (later, also_later):
        make_later(redis, job_id)
    assert claimed(claims) == first
    assert claimed(claims) == third
    assert [claimed(claims) for _ in range(3)] == [None] * 3
    assert [records.queue_position(job_id) for job_id in (later, also_later)] == [1, 2]
    assert records.get(later).attempts == 0
    fresh = open_job()
    assert records.queue_position(fresh) == 3
    for job_id in (later, also_later):
        redis.hset(keys.job(job_id), "version", RECORD_VERSION)
    assert [claimed(claims) for _ in range(4)] == [later, also_later, fresh, None]


def test_jobs_of_a_later_version_cost_their_key_no_turn(
    redis: Redis, records: JobRecords, claims: Claims, open_for: Open
) -> None:
    later = [open_for("anna") for _ in range(3)]
    for job_id in later:
        make_later(redis, job_id)
    of_bert = [open_for("bert") for _ in range(3)]
    assert [claimed(claims) for _ in range(3)] == of_bert
    of_carl = open_for("carl")
    assert [records.queue_position(job_id) for job_id in (*later[:2], of_carl)] == [1, 2, 4]
    for job_id in later:
        redis.hset(keys.job(job_id), "version", RECORD_VERSION)
    assert [claimed(claims) for _ in range(4)] == [*later, of_carl]


def test_a_claim_looks_past_some_jobs_of_a_later_version_and_loses_none_of_many(
    redis: Redis, records: JobRecords, claims: Claims, open_job: Open
) -> None:
    later = [open_job() for _ in range(25)]
    for job_id in later:
        make_later(redis, job_id)
    open_job()
    assert claimed(claims) is None
    assert records.waiting("standard") == 26
    assert [records.queue_position(job_id) for job_id in later] == list(range(1, 26))
    records.cancel(later[7])
    for job_id in later[:6]:
        records.cancel(job_id)
    assert claimed(claims) not in (None, *later)


def test_a_running_job_of_a_later_version_is_left_to_the_reapers_that_can_read_it(
    redis: Redis, records: JobRecords, claims: Claims, open_job: Open
) -> None:
    later, own = open_job(), open_job()
    assert [claimed(claims) for _ in range(2)] == [later, own]
    make_later(redis, later)
    for job_id in (later, own):
        lapse(redis, job_id)
    assert [reaped.job_id for reaped in claims.reap()] == [own]
    assert records.get(later).state is JobState.LOADING
    redis.hset(keys.job(later), "version", RECORD_VERSION)
    assert [reaped.job_id for reaped in claims.reap()] == [later]


@pytest.mark.parametrize("version", ["", "x", "-1", "1.5"])
def test_a_version_that_is_none_does_not_stop_the_queue(
    redis: Redis, claims: Claims, open_job: Open, version: str
) -> None:
    odd, other = open_job(), open_job()
    redis.hset(keys.job(odd), "version", version)
    assert [claimed(claims), claimed(claims)] == [odd, other]


def test_of_a_later_version_the_status_is_told_as_far_as_it_is_understood(
    redis: Redis, records: JobRecords, open_job: Open
) -> None:
    job_id, other = open_job(), open_job()
    make_later(redis, job_id)
    redis.hset(keys.job(job_id), "colour", "blue")
    assert records.get(job_id).state is JobState.PENDING

    redis.hset(keys.job(job_id), "state", "DREAMING")
    with pytest.raises(
        UnreadableRecord, match=rf"{job_id} .*version {LATER}.*reads {RECORD_VERSION}.*DREAMING"
    ):
        records.get(job_id)
    assert list(records.snapshots({job_id: 0, other: 0})) == [other]
    under_way = Overview(redis, records).under_way(of=ANY_SUBMITTER)
    assert [status.job_id for status in under_way] == [other]


def test_the_roles_of_a_job_s_input_pictures_are_in_its_record(
    redis: Redis, records: JobRecords, claims: Claims, open_job: Open
) -> None:
    open_job()
    claim = claims.claim("standard", "worker")
    assert claim
    assert claim.inputs == ()
    before_version_2 = open_job()
    redis.hdel(keys.job(before_version_2), "version", "inputs")
    claim = claims.claim("standard", "worker")
    assert claim
    assert (claim.job_id, claim.inputs) == (before_version_2, None)


STORED = parse_request("txt2img", {"prompt": "a", "type": "standard"}).stored()


@pytest.mark.parametrize("field", sorted(STORED.keys() - {"type"}))
def test_a_stored_request_may_lack_any_field(field: str) -> None:
    less = {name: value for name, value in STORED.items() if name != field}
    request = read_stored("txt2img", {**less, "of_another_version": {"a": [1]}})
    assert isinstance(request, TextToImage)
    assert request.prompt in ("a", "")


def test_a_stored_request_without_a_known_type_is_refused_by_name() -> None:
    for stored in ({}, {"type": "quick"}, {"type": None}):
        with pytest.raises(InvalidRequest, match="type"):
            read_stored("txt2img", stored)


def test_recorded_roles_are_read_back_and_unknown_ones_ignored() -> None:
    stored = json.loads(json.dumps({"type": "optimized", "prompt": "a"}))
    assert read_stored("img2img", stored, ("init", "depth")).inputs == {"init": b""}
    assert read_stored("img2img", stored, ()).inputs == {"init": b""}
    assert read_stored("txt2img", stored, ()).inputs == {}
