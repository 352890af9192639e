"""Webhook messages on their way: to a real receiver, again and again, and nowhere else."""

import socket
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from jobs import keys
from jobs.deliveries import Deliveries
from jobs.webhook_rules import WebhookRules
from tests.worker.conftest import Bench, until
from tests.worker.receiver import SECRET, receiving
from worker.background.webhook_sender import WebhookSender

LENIENT = WebhookRules(on=True, allow_private=True, allow_http=True)


def courier(
    bench: Bench,
    rules: WebhookRules = LENIENT,
    retry_seconds: Sequence[float] = (0, 0, 0),
    timeout_seconds: float = 30,
    seconds: float = 60,
) -> WebhookSender:
    return WebhookSender(
        Deliveries(bench.redis),
        rules,
        [SECRET],
        retry_seconds=retry_seconds,
        timeout_seconds=timeout_seconds,
        seconds=seconds,
    )


def cancelled(bench: Bench, url: str) -> str:
    """A job with one message: that it was cancelled."""
    job_id = bench.submit(webhook=url)
    bench.records.cancel(job_id)
    return job_id


def test_a_job_is_told_of_from_start_to_finish(bench: Bench) -> None:
    with receiving() as receiver:
        job_id = bench.submit(webhook=receiver.url, n_iter=2)
        bench.run()
        courier(bench).tick()
    assert sorted(receiver.events) == ["job.finished", "job.started"]
    finished = next(m for m in receiver.messages if m["type"] == "job.finished")
    assert finished["data"]["task_id"] == job_id
    assert finished["data"]["Images"] == [f"/images/{job_id}/{n}" for n in range(2)]
    assert not bench.redis.exists(keys.DELIVERIES)


@pytest.mark.parametrize("answer", [302, 404, 500, 503])
def test_what_is_not_taken_is_sent_again_as_the_same_message(bench: Bench, answer: int) -> None:
    with receiving(answer, answer) as receiver:
        cancelled(bench, receiver.url)
        courier(bench).tick()
    assert receiver.events == ["job.cancelled"]
    assert len(receiver.ids) == 3
    assert len(set(receiver.ids)) == 1


def test_what_is_never_taken_is_given_up_after_the_last_attempt(bench: Bench) -> None:
    with receiving(*[500] * 9) as receiver:
        cancelled(bench, receiver.url)
        courier(bench, retry_seconds=(0, 0)).tick()
    assert len(receiver.ids) == 3
    assert not bench.redis.exists(keys.DELIVERIES)


def test_between_two_attempts_there_is_a_pause(bench: Bench) -> None:
    with receiving(500) as receiver:
        cancelled(bench, receiver.url)
        courier(bench, retry_seconds=(3600,)).tick()
        assert len(receiver.ids) == 1
        redis: Any = bench.redis
        (_, due), *_ = redis.zrange(keys.DELIVERIES, 0, -1, withscores=True)
        assert 3590 < due - redis.time()[0] <= 3601


def test_a_receiver_that_wants_no_more_is_left_alone(bench: Bench) -> None:
    with receiving(410) as receiver:
        cancelled(bench, receiver.url)
        courier(bench).tick()
    assert len(receiver.ids) == 1
    assert not bench.redis.exists(keys.DELIVERIES)


def test_nobody_inside_is_called_even_if_it_was_allowed_when_the_job_came(bench: Bench) -> None:
    with receiving() as receiver:
        cancelled(bench, receiver.url)
        courier(bench, WebhookRules(on=True, allow_http=True)).tick()
        assert receiver.ids == []


def test_a_name_is_called_at_the_address_that_was_checked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is resolved once; what it would lead to a moment later does not matter."""
    real, asked = socket.getaddrinfo, []

    def resolve(host: str, *arguments: object, **options: object) -> object:
        if host == "example.com":
            asked.append(host)
            host = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return real(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with receiving() as receiver:
        cancelled(bench, receiver.url.replace("127.0.0.1", "example.com"))
        courier(bench).tick()
    assert receiver.events == ["job.cancelled"]
    assert asked == ["example.com"]


def test_a_receiver_that_does_not_answer_holds_up_no_other(bench: Bench) -> None:
    with receiving(hangs=True) as slow, receiving() as quick:
        cancelled(bench, slow.url)
        cancelled(bench, quick.url)
        courier(bench, retry_seconds=(3600,), timeout_seconds=1).tick()
        assert quick.events == ["job.cancelled"]
        assert bench.redis.zcard(keys.DELIVERIES) == 1


def test_a_courier_that_is_stopped_leaves_its_message_to_the_next(bench: Bench) -> None:
    with receiving(hangs=True) as receiver:
        cancelled(bench, receiver.url)
        first = courier(bench, timeout_seconds=600, seconds=0.01)
        first.start()
        assert receiver.asked.acquire(timeout=60)
        stopping = threading.Thread(target=first.stop)
        stopping.start()
        stopping.join(60)
        assert not stopping.is_alive()
        receiver.goes_on.set()
        courier(bench).tick()
        until(lambda: len(receiver.events) >= 1)
        assert len(set(receiver.ids)) == 1
        assert not bench.redis.exists(keys.DELIVERIES)


@pytest.mark.parametrize(("named", "taken"), [("example.com", 1), ("other.example.com", 0)])
def test_a_certificate_must_be_of_the_name_though_an_address_is_called(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    named: str,
    taken: int,
) -> None:
    authority = trustme.CA()
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **options: real(
            "127.0.0.1" if host == "example.com" else host, *rest, **options
        ),
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(named).configure_cert(tls)
    with receiving(tls=tls) as receiver:
        cancelled(bench, receiver.url.replace("127.0.0.1", "example.com"))
        courier(bench, WebhookRules(on=True, allow_private=True), retry_seconds=()).tick()
    assert len(receiver.messages) == taken
