"""The same request sent twice is one job."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from jobs import keys
from jobs.errors import IdempotencyKeyReused
from jobs.records.claims import Claims
from jobs.records.idempotency import IdempotentRequest, SubmittedJob
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.status import Result
from jobs.validation.request import parse_request

BODY = {"prompt": "a", "type": "standard"}


def request(
    key: str = "k", submitter: str = "anna", body: dict[str, str] | None = None
) -> IdempotentRequest:
    return IdempotentRequest.of(key, "txt2img", body or BODY, submitter=submitter)


def opened(records: JobRecords, again: IdempotentRequest, submitter: str = "anna") -> SubmittedJob:
    job = NewJob(
        job_id=new_job_id(),
        request=parse_request("txt2img", BODY).settled(model="tiny", seed=1),
        model="tiny",
        warnings=("so so",),
        submitter=submitter,
        idempotent=again,
    )
    return records.open(job)


def test_the_same_request_is_the_same_job_with_the_same_answer(records: JobRecords) -> None:
    first = opened(records, request())
    assert opened(records, request()) == first
    assert records.submitted_before(request()) == first
    assert first.warnings == ("so so",)
    assert records.waiting("standard") == 1


def test_a_body_in_another_order_is_the_same_body() -> None:
    turned = dict(reversed(BODY.items()))
    assert request(body=turned) == request()


def test_another_body_under_the_same_key_is_refused(records: JobRecords) -> None:
    opened(records, request())
    other = request(body={**BODY, "prompt": "b"})
    with pytest.raises(IdempotencyKeyReused):
        records.submitted_before(other)
    with pytest.raises(IdempotencyKeyReused):
        opened(records, other)
    assert records.waiting("standard") == 1


def test_keys_of_two_submitters_are_two_keys(records: JobRecords) -> None:
    first = opened(records, request())
    second = opened(records, request(submitter="bert"), "bert")
    assert first.job_id != second.job_id


def test_of_many_at_once_one_is_the_job_of_all(records: JobRecords) -> None:
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda _: opened(records, request()), range(48)))
    assert len({answer.job_id for answer in answers}) == 1
    assert records.waiting("standard") == 1


def test_a_key_lives_as_long_as_the_record_of_its_job(
    records: JobRecords, claims: Claims, redis: Redis, result: Result
) -> None:
    again = request()
    job = opened(records, again)
    assert redis.ttl(again.key) == -1
    claim = claims.claim("standard", "worker")
    assert claim
    claims.finish(claim, result)
    assert redis.ttl(again.key) == redis.ttl(keys.job(job.job_id)) == 600
    redis.delete(again.key)
    assert opened(records, again).job_id != job.job_id


@pytest.mark.parametrize("field", ["body", "job", "type", "model", "warnings"])
def test_half_an_answer_is_none(records: JobRecords, redis: Redis, field: str) -> None:
    first = opened(records, request())
    redis.hdel(request().key, field)
    redis.delete(keys.job(first.job_id))
    assert records.submitted_before(request()) is None
    second = opened(records, request())
    assert records.submitted_before(request()) == second != first


def test_the_key_itself_is_not_stored(records: JobRecords, redis: Redis) -> None:
    opened(records, request("my secret order number"))
    assert not redis.keys("*secret*")
