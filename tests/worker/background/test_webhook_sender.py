"""Webhooks delivered to a real receiver: retries, addresses and certificates."""

import socket
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from jobs import keys
from jobs.webhooks.deliveries import Deliveries
from jobs.webhooks.rules import WebhookRules
from jobs.webhooks.signature import WebhookSecrets
from tests.worker.conftest import Bench, until
from tests.worker.receiver import SECRET, receiving
from worker.background.webhook_sender import WebhookSender

SHARED = WebhookSecrets(shared=(SECRET,))
LENIENT = WebhookRules(on=True, allow_private=True, allow_http=True)


def sender(
    bench: Bench,
    rules: WebhookRules = LENIENT,
    retry_seconds: Sequence[float] = (0, 0, 0),
    timeout_seconds: float = 30,
    seconds: float = 60,
    secrets: WebhookSecrets = SHARED,
) -> WebhookSender:
    return WebhookSender(
        Deliveries(bench.redis),
        rules,
        secrets,
        retry_seconds=retry_seconds,
        timeout_seconds=timeout_seconds,
        seconds=seconds,
    )


def cancelled(bench: Bench, url: str) -> str:
    """A cancelled job, whose only message says so."""
    job_id = bench.submit(webhook=url)
    bench.records.cancel(job_id)
    return job_id


def test_a_job_sends_a_message_at_its_start_and_its_end(bench: Bench) -> None:
    with receiving() as receiver:
        job_id = bench.submit(webhook=receiver.url, n_iter=2)
        bench.run()
        sender(bench).tick()
    assert sorted(receiver.events) == ["job.finished", "job.started"]
    finished = next(m for m in receiver.messages if m["type"] == "job.finished")
    assert finished["data"]["task_id"] == job_id
    assert finished["data"]["Images"] == [f"/images/{job_id}/{n}" for n in range(2)]
    assert not bench.redis.exists(keys.DELIVERIES, keys.LANES)


@pytest.mark.parametrize("code", [302, 404, 500, 503])
def test_a_refused_message_is_sent_again_with_the_same_id(bench: Bench, code: int) -> None:
    with receiving(code, code) as receiver:
        cancelled(bench, receiver.url)
        sender(bench).tick()
    assert receiver.events == ["job.cancelled"]
    assert len(receiver.ids) == 3
    assert len(set(receiver.ids)) == 1


def test_a_message_is_dropped_after_the_last_retry(bench: Bench) -> None:
    with receiving(*[500] * 9) as receiver:
        cancelled(bench, receiver.url)
        sender(bench, retry_seconds=(0, 0)).tick()
    assert len(receiver.ids) == 3
    assert not bench.redis.exists(keys.DELIVERIES, keys.LANES)


def test_the_next_attempt_comes_after_the_configured_pause(bench: Bench) -> None:
    with receiving(500) as receiver:
        cancelled(bench, receiver.url)
        redis: Any = bench.redis
        before = redis.time()[0]
        sender(bench, retry_seconds=(3600,)).tick()
        assert len(receiver.ids) == 1
        (_, due), *_ = redis.zrange(keys.LANES, 0, -1, withscores=True)
        assert before + 3600 <= due <= redis.time()[0] + 3601


def test_a_receiver_that_is_gone_gets_no_retry(bench: Bench) -> None:
    with receiving(410) as receiver:
        cancelled(bench, receiver.url)
        sender(bench).tick()
    assert len(receiver.ids) == 1
    assert not bench.redis.exists(keys.DELIVERIES, keys.LANES)


def test_a_private_address_is_refused_even_if_it_was_allowed_at_submission(bench: Bench) -> None:
    with receiving() as receiver:
        cancelled(bench, receiver.url)
        sender(bench, WebhookRules(on=True, allow_http=True)).tick()
        assert receiver.ids == []


def test_the_request_goes_to_the_address_that_was_checked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is resolved once; later changes of its address have no effect."""
    real, resolved = socket.getaddrinfo, []

    def resolve(host: str, *arguments: object, **options: object) -> object:
        if host == "example.com":
            resolved.append(host)
            host = "127.0.0.1" if len(resolved) == 1 else "127.0.0.2"
        return real(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with receiving() as receiver:
        cancelled(bench, receiver.url.replace("127.0.0.1", "example.com"))
        sender(bench).tick()
    assert receiver.events == ["job.cancelled"]
    assert resolved == ["example.com"]


def test_an_attempt_at_a_receiver_that_hangs_times_out(bench: Bench) -> None:
    with receiving(hangs=True) as slow:
        cancelled(bench, slow.url)
        sender(bench, retry_seconds=(3600,), timeout_seconds=0.3).tick()
        assert slow.events == []
        assert bench.redis.zcard(keys.LANES) == 1


def test_a_receiver_that_hangs_delays_only_its_own_messages(bench: Bench) -> None:
    """However many they are, and also those that come while it hangs."""
    with receiving(hangs=True) as slow, receiving() as quick:
        for _ in range(100):
            cancelled(bench, slow.url)
        sending = sender(bench, timeout_seconds=600, seconds=0.05)
        sending.start()
        try:
            assert slow.requests.acquire(timeout=60)
            for expected in (1, 2):
                cancelled(bench, quick.url)
                until(lambda count=expected: len(quick.events) == count, 60)
            assert slow.events == []
            assert 1 <= len(slow.ids) <= 4
        finally:
            sending.stop()


def test_a_receiver_verifies_with_its_own_secret(bench: Bench) -> None:
    secrets = WebhookSecrets(masters=(SECRET,))
    with receiving(secret=secrets.own("")[0]) as receiver:
        cancelled(bench, receiver.url)
        sender(bench, secrets=secrets).tick()
    assert receiver.events == ["job.cancelled"]


def test_a_stopped_sender_leaves_its_message_to_the_next(bench: Bench) -> None:
    with receiving(hangs=True) as receiver:
        cancelled(bench, receiver.url)
        first = sender(bench, timeout_seconds=600, seconds=0.01)
        first.start()
        assert receiver.requests.acquire(timeout=60)
        stopping = threading.Thread(target=first.stop)
        stopping.start()
        stopping.join(60)
        assert not stopping.is_alive()
        receiver.released.set()
        sender(bench).tick()
        until(lambda: len(receiver.events) >= 1)
        assert len(set(receiver.ids)) == 1
        assert not bench.redis.exists(keys.DELIVERIES, keys.LANES)


@pytest.mark.parametrize(("certified", "delivered"), [("example.com", 1), ("other.example.com", 0)])
def test_the_certificate_must_match_the_host_name(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    certified: str,
    delivered: int,
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
    authority.issue_cert(certified).configure_cert(tls)
    with receiving(tls=tls) as receiver:
        cancelled(bench, receiver.url.replace("127.0.0.1", "example.com"))
        sender(bench, WebhookRules(on=True, allow_private=True), retry_seconds=()).tick()
    assert len(receiver.messages) == delivered
