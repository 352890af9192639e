"""Webhook messages: written with the change that they report, signed, and not lost."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from redis import Redis
from standardwebhooks import Webhook, WebhookVerificationError

from jobs import keys
from jobs.records.claim import Claim
from jobs.records.claims import Claims
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.settings import JobSettings
from jobs.status import Failure, Result, StoredPicture
from jobs.validation.request import parse_request
from jobs.webhooks.deliveries import Deliveries, Delivery
from jobs.webhooks.signature import WebhookSecrets, signed_headers
from tests.jobs.leases import lapse

URL = "https://example.com/hook?token=secret"
SECRETS = ["whsec_" + base64.b64encode(bytes([number] * 24)).decode() for number in (1, 2)]


@pytest.fixture
def deliveries(redis: Redis) -> Deliveries:
    return Deliveries(redis, lease_seconds=60)


@pytest.fixture
def submit(records: JobRecords) -> Callable[[], str]:
    def submit() -> str:
        body = {"prompt": "a", "type": "standard", "webhook": URL}
        request = parse_request("txt2img", body).settled(model="tiny", seed=1)
        return records.open(NewJob(job_id=new_job_id(), request=request, model="tiny")).job_id

    return submit


def claimed(claims: Claims) -> Claim:
    claim = claims.claim("standard", "worker")
    assert claim
    return claim


def due(deliveries: Deliveries) -> list[Delivery]:
    found = []
    while delivery := deliveries.take():
        found.append(delivery)
        deliveries.done(delivery)
    return found


def end_leases(redis: Redis) -> None:
    """As if the senders of all messages had died long ago."""
    sorted_sets: Any = redis
    for lane in sorted_sets.zrange(keys.LANES, 0, -1):
        redis.delete(keys.LANE_BUSY + lane)
        redis.zadd(keys.LANES, {lane: 0})
        redis.zadd(keys.LANE + lane, dict.fromkeys(sorted_sets.zrange(keys.LANE + lane, 0, -1), 0))


def events(deliveries: Deliveries) -> list[str]:
    return [json.loads(delivery.body)["type"] for delivery in due(deliveries)]


def nothing_is_left(redis: Redis) -> bool:
    return not redis.keys("*deliver*")


def test_a_job_sends_messages_at_its_start_and_its_end(
    submit: Callable[[], str],
    claims: Claims,
    records: JobRecords,
    deliveries: Deliveries,
    result: Result,
) -> None:
    submit()
    claims.finish(claimed(claims), result)
    assert events(deliveries) == ["job.started", "job.finished"]
    submit()
    claims.fail(claimed(claims), Failure(code="x", message="x"))
    assert events(deliveries) == ["job.started", "job.failed"]
    records.cancel(submit())
    assert events(deliveries) == ["job.cancelled"]


def test_a_job_that_is_started_again_sends_one_message(
    submit: Callable[[], str], claims: Claims, deliveries: Deliveries, redis: Redis
) -> None:
    job_id = submit()
    for _ in range(3):
        claimed(claims)
        lapse(redis, job_id)
        claims.reap()
    assert events(deliveries) == ["job.started", "job.failed"]


def test_a_job_without_a_webhook_sends_no_message(
    open_job: Callable[..., str], claims: Claims, deliveries: Deliveries, result: Result
) -> None:
    open_job()
    claims.finish(claimed(claims), result)
    assert due(deliveries) == []


def test_a_message_says_which_job_and_what_came_of_it(
    submit: Callable[[], str], claims: Claims, deliveries: Deliveries, result: Result
) -> None:
    job_id = submit()
    image = StoredPicture(name="a/b.png", width=8, height=8, index=0, seed=5)
    claims.finish(claimed(claims), result.model_copy(update={"images": (image,), "grid": image}))
    _, finished = due(deliveries)
    assert (finished.url, finished.tries) == (URL, 1)
    body = json.loads(finished.body)
    assert body["data"] == {
        "task_id": job_id,
        "Location": f"/status/{job_id}",
        "kind": "txt2img",
        "type": "standard",
        "active_model": "tiny",
        "attempts": 1,
        "Images": [f"/images/{job_id}/0", f"/images/{job_id}/grid"],
        "seeds": [5],
    }
    failed = submit()
    claims.fail(claimed(claims), Failure(code="out_of_memory", message="no memory"))
    data = json.loads(due(deliveries)[1].body)["data"]
    assert (data["task_id"], data["code"], data["error"]) == (failed, "out_of_memory", "no memory")


def test_a_message_outlives_whoever_took_it_and_stays_the_same(
    submit: Callable[[], str], records: JobRecords, deliveries: Deliveries, redis: Redis
) -> None:
    job_id = submit()
    records.cancel(job_id)
    first = deliveries.take()
    assert first
    assert deliveries.take() is None
    redis.delete(keys.job(job_id))
    end_leases(redis)
    second = deliveries.take()
    assert second
    assert (second.message_id, second.body, second.tries) == (first.message_id, first.body, 2)
    deliveries.done(first)  # comes too late to have a say
    deliveries.later(second, 0)
    third = deliveries.take()
    assert third
    deliveries.done(third)
    assert nothing_is_left(redis)


def test_a_webhook_is_not_shown_with_the_request(
    submit: Callable[[], str], records: JobRecords
) -> None:
    assert "secret" not in records.get(submit()).model_dump_json()


def lifetimes(redis: Redis) -> dict[str, int]:
    """The event of each message: seconds until it expires; -1: never."""
    found: Any = redis.keys(f"{keys.DELIVERY}*")
    return {name.rpartition(".")[2]: int(cast(int, redis.ttl(name))) for name in found}


def test_messages_expire_with_the_record_they_tell_of(
    submit: Callable[[], str], claims: Claims, deliveries: Deliveries, redis: Redis, result: Result
) -> None:
    """Whether they wait for their first attempt or for the next one."""
    job_id = submit()
    claim = claimed(claims)
    assert lifetimes(redis) == {"started": -1}
    claims.finish(claim, result)
    assert lifetimes(redis).keys() == {"started", "finished"}
    record = cast(int, redis.ttl(keys.job(job_id)))
    assert all(record - 60 <= seconds <= record for seconds in lifetimes(redis).values())
    tried = deliveries.take()
    assert tried
    deliveries.later(tried, 0)
    redis.delete(*cast(list[str], redis.keys(f"{keys.DELIVERY}*")))  # as when they expire
    assert deliveries.take() is None
    assert nothing_is_left(redis)


def test_messages_that_no_sender_takes_do_not_pile_up(
    submit: Callable[[], str], records: JobRecords, redis: Redis
) -> None:
    """Webhooks were switched off while jobs with an address waited."""
    ages: dict[str, float] = {f"{number}.finished": number for number in range(50)}
    redis.zadd(keys.DELIVERIES, ages)
    records.cancel(submit())
    assert redis.zcard(keys.DELIVERIES) == 1


def test_a_receiver_has_a_bounded_number_of_messages_on_their_way(
    records: JobRecords, deliveries: Deliveries, redis: Redis
) -> None:
    def cancelled(host: str) -> str:
        body = {"prompt": "a", "type": "standard", "webhook": f"https://{host}/{new_job_id()}"}
        request = parse_request("txt2img", body).settled(model="tiny", seed=1)
        job = NewJob(job_id=new_job_id(), request=request, model="tiny")
        records.cancel(records.open(job).job_id)
        return job.job_id

    for _ in range(100):
        cancelled("slow.example.com")
    quick = cancelled("quick.example.com")
    taken = []
    while delivery := deliveries.take():
        taken.append(delivery)
    assert 2 <= len(taken) <= 5
    assert any(quick in delivery.message_id for delivery in taken)
    deliveries.done(taken[0])
    assert deliveries.take()  # the next of its lane
    end_leases(redis)
    assert len(due(deliveries)) == 100
    assert nothing_is_left(redis)


def test_a_message_that_the_code_before_has_postponed_is_taken(
    submit: Callable[[], str], records: JobRecords, deliveries: Deliveries, redis: Redis
) -> None:
    job_id = submit()
    records.cancel(job_id)
    redis.hset(keys.DELIVERY + f"{job_id}.cancelled", "tries", 2)
    redis.hdel(keys.DELIVERY + f"{job_id}.cancelled", "submitter")
    taken = deliveries.take()
    assert taken
    assert (taken.tries, taken.submitter) == (3, "")


@pytest.mark.parametrize("secret", SECRETS)
def test_a_receiver_can_check_the_signature_with_either_secret(secret: str) -> None:
    body = b'{"type": "job.finished"}'
    headers = signed_headers(SECRETS, "msg_1", int(time.time()), body)
    assert Webhook(secret).verify(body, headers) == {"type": "job.finished"}


def test_the_secret_of_one_key_signs_nothing_for_another() -> None:
    secrets = WebhookSecrets(masters=tuple(SECRETS))
    mine, theirs = (secrets.own(submitter) for submitter in ("mine", "theirs"))
    assert len({*mine, *theirs, *SECRETS}) == 6
    assert mine == WebhookSecrets(masters=tuple(SECRETS)).own("mine")
    assert mine[1:] == WebhookSecrets(masters=(SECRETS[1],)).own("mine")
    body = b'{"type": "job.finished"}'
    headers = signed_headers(secrets.of("mine"), "msg_1", int(time.time()), body)
    for secret in mine:
        assert Webhook(secret).verify(body, headers)
    for secret in (*theirs, *SECRETS):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, headers)


def test_both_kinds_of_secrets_sign_while_receivers_change_over() -> None:
    secrets = WebhookSecrets(masters=(SECRETS[0],), shared=(SECRETS[1],))
    body = b'{"type": "job.finished"}'
    headers = signed_headers(secrets.of("mine"), "msg_1", int(time.time()), body)
    for secret in (*secrets.own("mine"), SECRETS[1]):
        assert Webhook(secret).verify(body, headers)


def test_the_signature_is_the_one_of_the_specification() -> None:
    """The example of Standard Webhooks' own libraries."""
    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["secret", "whsec_", "whsec_!!!", "whsec_c2hvcnQ="])
def test_a_secret_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_ and base64"):
        JobSettings(webhook_secret=(secret,))
    with pytest.raises(ValueError, match="whsec_ and base64"):
        JobSettings(webhook_master_secret=(secret,))


@pytest.mark.parametrize("field", ["kind", "type", "model", "attempts"])
def test_a_message_of_a_damaged_record_holds_up_no_other(
    submit: Callable[[], str],
    records: JobRecords,
    deliveries: Deliveries,
    redis: Redis,
    field: str,
) -> None:
    bad, good = submit(), submit()
    redis.hdel(keys.job(bad), field)
    records.cancel(bad)
    records.cancel(good)

    assert [json.loads(each.body)["data"]["task_id"] for each in due(deliveries)] == [good]
    assert nothing_is_left(redis)
