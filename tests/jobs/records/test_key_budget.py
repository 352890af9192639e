"""How much of Redis' memory one key's jobs may hold, and what is left of a job that has ended."""

import json
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from redis import Redis

from jobs import keys
from jobs.errors import JobExpired, NoSuchJob, TooManyBytes
from jobs.limits import WaitingCaps
from jobs.records.claims import Claims
from jobs.records.idempotency import IdempotentRequest
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.records.stored_prompts import MAX_ENDED_CHARACTERS, prompts_of
from jobs.status import JobState, Result
from jobs.validation.request import parse_request

Submit = Callable[..., str]

LONGEST = "🐕" * 20_000
"""A prompt that takes 80 kB as UTF-8, and 240 kB with escapes."""
BUDGET = 1024**2


@pytest.fixture
def capped(redis: Redis) -> JobRecords:
    caps = WaitingCaps(bytes_per_submitter=BUDGET)
    return JobRecords(redis, result_ttl_seconds=600, caps=caps)


@pytest.fixture
def submit(capped: JobRecords) -> Submit:
    """Submits a job, each with a webhook and an idempotency key."""

    def submit(submitter: str = "anna", prompts: tuple[str, ...] = (), **body: Any) -> str:
        body = {"prompt": "a", "type": "standard", "webhook": "https://h/"} | body
        request = parse_request("txt2img", body)
        job_id = new_job_id()
        job = NewJob(
            job_id=job_id,
            request=request.settled(model="tiny", seed=1),
            model="tiny",
            prompts=prompts,
            submitter=submitter,
            idempotent=IdempotentRequest.of(job_id, "txt2img", body, submitter=submitter),
        )
        capped.open(job)
        return job_id

    return submit


def memory(redis: Redis) -> int:
    """Bytes of all keys below the prefix, for a server that other tests have used."""
    usage = (redis.memory_usage(key, samples=0) for key in redis.scan_iter(f"{keys.PREFIX}*"))
    return sum(cast(int, each or 0) for each in usage)


def test_submitting_and_cancelling_does_not_grow_redis_without_bound(
    submit: Submit, capped: JobRecords, redis: Redis
) -> None:
    for _ in range(79):
        capped.cancel(submit(prompt=LONGEST, negative_prompt=LONGEST))
    assert memory(redis) < 2 * BUDGET
    for _ in range(2000):
        capped.cancel(submit())
        redis.delete(keys.DELETIONS)  # as the API does, which deletes the files at once
    assert memory(redis) < 2 * BUDGET
    for _ in range(2000):
        capped.cancel(submit())
        redis.delete(keys.DELETIONS)
    assert memory(redis) < 2 * BUDGET


def test_the_unended_jobs_of_a_key_may_hold_so_many_bytes(
    submit: Submit, capped: JobRecords, claims: Claims, redis: Redis, result: Result
) -> None:
    jobs: list[str] = []
    with pytest.raises(TooManyBytes, match=rf"more than {BUDGET} bytes .*MAX_BYTES_PER_KEY"):
        while True:
            jobs.append(submit(prompt=LONGEST))
    assert 1 < len(jobs) <= BUDGET // 80_000
    assert len(redis.keys(f"{keys.JOB}*")) == len(jobs)
    submit("bert", prompt=LONGEST)
    # a running job holds its bytes as well, until it ends
    claim = claims.claim("standard", "worker")
    assert claim
    assert claim.job_id == jobs[0]
    with pytest.raises(TooManyBytes):
        submit(prompt=LONGEST)
    claims.finish(claim, result)
    submit(prompt=LONGEST)
    with pytest.raises(TooManyBytes):
        submit(prompt=LONGEST)
    capped.cancel(jobs[1])
    submit(prompt=LONGEST)


def test_records_that_were_lost_are_not_held_against_their_key(
    submit: Submit, redis: Redis
) -> None:
    lost = []
    with pytest.raises(TooManyBytes):
        while True:
            lost.append(submit(prompt=LONGEST))
    # an older process ends jobs without counting
    redis.hset(keys.job(lost[0]), "state", "SUCCESS")
    redis.delete(keys.job(lost[1]))
    submit(prompt=LONGEST)
    submit(prompt=LONGEST)
    with pytest.raises(TooManyBytes):
        submit(prompt=LONGEST)


def test_jobs_that_wait_longer_than_ended_ones_are_known_still_count(
    submit: Submit, redis: Redis
) -> None:
    waiting: list[str] = []
    with pytest.raises(TooManyBytes):
        while True:
            waiting.append(submit(prompt=LONGEST))
    JobRecords(redis, result_ttl_seconds=1, tombstone_ttl=1).cancel(waiting[0])
    while redis.exists(keys.tombstone(waiting[0])):
        time.sleep(0.1)
    submit(prompt=LONGEST)
    with pytest.raises(TooManyBytes):
        submit(prompt=LONGEST)


def test_the_sums_of_a_key_without_unended_jobs_expire(
    submit: Submit, capped: JobRecords, redis: Redis
) -> None:
    jobs = [submit(), submit()]
    capped.cancel(jobs[0])
    assert redis.ttl(keys.key_bytes("anna")) == -1
    capped.cancel(jobs[1])
    assert redis.ttl(keys.key_bytes("anna")) > 0


def test_the_oldest_ended_jobs_are_forgotten_first_and_no_unended_one(
    submit: Submit, capped: JobRecords, redis: Redis
) -> None:
    waiting, of_another = submit(), submit("bert")
    capped.cancel(of_another)
    ended = []
    for _ in range(3000):
        ended.append(submit())
        capped.cancel(ended[-1])
    submit()

    known = [bool(redis.exists(keys.job(job_id))) for job_id in ended]
    assert known == sorted(known)
    assert 100 < sum(known) < 1000
    assert capped.get(ended[-1]).state is JobState.CANCELLED
    assert capped.get(waiting).state is JobState.PENDING
    assert capped.get(of_another).state is JobState.CANCELLED
    with pytest.raises(JobExpired):
        capped.get(ended[known.index(True) - 1])
    with pytest.raises(NoSuchJob):
        capped.get(ended[0])


def test_what_is_counted_is_what_the_records_hold(
    submit: Submit, capped: JobRecords, redis: Redis
) -> None:
    for length in (1, 1000, 8000, 20_000):
        for _ in range(200):  # larger sets have another form
            submit()
        before = memory(redis)
        job_id = submit(prompt="x" * length)
        (counted,) = (
            int(value)
            for field, value in redis.hgetall(keys.key_bytes("anna")).items()
            if field == job_id
        )
        assert counted == pytest.approx(memory(redis) - before, rel=0.4)
        capped.cancel(job_id)
        redis.flushall()


def test_without_a_budget_nothing_is_refused_or_forgotten(
    redis: Redis, records: JobRecords, open_job: Callable[..., str]
) -> None:
    jobs = [open_job(prompt=LONGEST) for _ in range(30)]
    for job_id in jobs:
        records.cancel(job_id)
    assert records.get(jobs[0]).state is JobState.CANCELLED


def test_prompts_are_stored_as_utf_8(submit: Submit, redis: Redis) -> None:
    job_id = submit(prompt="ein grüner Hund 🐕")
    assert "ein grüner Hund 🐕" in cast(str, redis.hget(keys.job(job_id), "request"))


def test_an_ordinary_request_is_the_same_after_the_end(
    submit: Submit, capped: JobRecords, redis: Redis
) -> None:
    job_id = submit(prompt="ein grüner Hund 🐕 " * 200)
    before = capped.get(job_id).request
    capped.cancel(job_id)
    assert capped.get(job_id).request == before
    assert not redis.hexists(keys.job(job_id), "webhook")


def test_long_prompts_are_whole_until_the_end_and_then_shortened(
    submit: Submit, capped: JobRecords, claims: Claims
) -> None:
    job_id = submit(prompt=LONGEST, negative_prompt="ugly")
    claim = claims.claim("standard", "worker")
    assert claim
    assert json.loads(claim.stored_request)["prompt"] == LONGEST
    assert capped.get(job_id).request["prompt"] == LONGEST
    claims.cancelled(claim)
    request = capped.get(job_id).request
    assert request["negative_prompt"] == "ugly"
    assert request["prompt"].startswith("🐕" * (MAX_ENDED_CHARACTERS // 2))
    assert request["prompt"].endswith("… [20000 characters]")
    assert len(request["prompt"]) < MAX_ENDED_CHARACTERS


def test_the_prompts_of_a_file_are_shortened_each(submit: Submit, capped: JobRecords) -> None:
    prompts = ("short", *(f"{number} " + LONGEST[:5000] for number in range(30)))
    job_id = submit(prompts=prompts)
    assert prompts_of(capped.get(job_id).request) == prompts
    capped.cancel(job_id)
    kept = prompts_of(capped.get(job_id).request)
    assert (len(kept), kept[0], kept[7][:2]) == (31, "short", "6 ")
    assert sum(map(len, kept)) < 2 * MAX_ENDED_CHARACTERS
