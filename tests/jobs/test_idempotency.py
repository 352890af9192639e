"""The same request sent twice is one job."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from jobs import keys
from jobs.claims import Claims
from jobs.errors import KeyUsedOtherwise
from jobs.idempotency import Accepted, Repeatable
from jobs.new_job import NewJob, new_job_id
from jobs.record import JobRecords
from jobs.request import parse_request
from jobs.status import Result

BODY = {"prompt": "a", "type": "standard"}


def repeatable(
    key: str = "k", submitter: str = "anna", body: dict[str, str] | None = None
) -> Repeatable:
    return Repeatable.of(key, "txt2img", body or BODY, submitter=submitter)


def opened(records: JobRecords, again: Repeatable, submitter: str = "anna") -> Accepted:
    job = NewJob(
        job_id=new_job_id(),
        request=parse_request("txt2img", BODY).settled(model="tiny", seed=1),
        model="tiny",
        warnings=("so so",),
        submitter=submitter,
        repeatable=again,
    )
    return records.open(job)


def test_the_same_request_is_the_same_job_with_the_same_answer(records: JobRecords) -> None:
    first = opened(records, repeatable())
    assert opened(records, repeatable()) == first
    assert records.repeated(repeatable()) == first
    assert first.warnings == ("so so",)
    assert records.waiting("standard") == 1


def test_a_body_in_another_order_is_the_same_body() -> None:
    turned = dict(reversed(BODY.items()))
    assert repeatable(body=turned) == repeatable()


def test_another_body_under_the_same_key_is_refused(records: JobRecords) -> None:
    opened(records, repeatable())
    other = repeatable(body={**BODY, "prompt": "b"})
    with pytest.raises(KeyUsedOtherwise):
        records.repeated(other)
    with pytest.raises(KeyUsedOtherwise):
        opened(records, other)
    assert records.waiting("standard") == 1


def test_keys_of_two_submitters_are_two_keys(records: JobRecords) -> None:
    first = opened(records, repeatable())
    second = opened(records, repeatable(submitter="bert"), "bert")
    assert first.job_id != second.job_id


def test_of_many_at_once_one_is_the_job_of_all(records: JobRecords) -> None:
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda _: opened(records, repeatable()), range(48)))
    assert len({answer.job_id for answer in answers}) == 1
    assert records.waiting("standard") == 1


def test_a_key_lives_as_long_as_the_record_of_its_job(
    records: JobRecords, claims: Claims, redis: Redis, result: Result
) -> None:
    again = repeatable()
    job = opened(records, again)
    assert redis.ttl(again.key) == -1
    claim = claims.claim("standard", "worker")
    assert claim
    claims.finish(claim, result)
    assert redis.ttl(again.key) == redis.ttl(keys.job(job.job_id)) == 600
    redis.delete(again.key)
    assert opened(records, again).job_id != job.job_id


def test_the_key_itself_is_not_stored(records: JobRecords, redis: Redis) -> None:
    opened(records, repeatable("my secret order number"))
    assert not redis.keys("*secret*")
