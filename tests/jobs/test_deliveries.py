"""Webhook messages: written with the change that they report, signed, and not lost."""

import base64
import json
import time
from collections.abc import Callable

import pytest
from redis import Redis
from standardwebhooks import Webhook

from jobs import keys
from jobs.claims import Claim, Claims
from jobs.deliveries import Deliveries, Delivery
from jobs.new_job import NewJob, new_job_id
from jobs.record import JobRecords
from jobs.request import parse_request
from jobs.settings import JobSettings
from jobs.status import Failure, Result, StoredPicture
from jobs.webhook_signature import signed_headers
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
    return found


def events(deliveries: Deliveries) -> list[str]:
    return [json.loads(delivery.body)["type"] for delivery in due(deliveries)]


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
    redis.zadd(keys.DELIVERIES, {f"{job_id}.cancelled": 0})  # its time with the first is up
    second = deliveries.take()
    assert second
    assert (second.message_id, second.body, second.tries) == (first.message_id, first.body, 2)
    deliveries.done(first)  # comes too late to have a say
    deliveries.later(second, 0)
    third = deliveries.take()
    assert third
    deliveries.done(third)
    assert not redis.exists(keys.DELIVERIES)
    assert redis.keys(f"{keys.DELIVERY}*") == []


def test_a_webhook_is_not_shown_with_the_request(
    submit: Callable[[], str], records: JobRecords
) -> None:
    assert "secret" not in records.get(submit()).model_dump_json()


@pytest.mark.parametrize("secret", SECRETS)
def test_a_receiver_can_check_the_signature_with_either_secret(secret: str) -> None:
    body = b'{"type": "job.finished"}'
    headers = signed_headers(SECRETS, "msg_1", int(time.time()), body)
    assert Webhook(secret).verify(body, headers) == {"type": "job.finished"}


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
