"""The latest word of each job, for who passes it on."""

import threading

from tests.worker.conftest import Bench
from worker.execution.active_job import ActiveJob
from worker.execution.latest_value import LatestValue


def running(bench: Bench) -> ActiveJob:
    """A job that was claimed."""
    bench.submit()
    claim = bench.claims.claim("standard", "somebody")
    assert claim
    return ActiveJob(claim)


def test_the_latest_word_of_each_job_is_taken_once(bench: Bench) -> None:
    first, second = running(bench), running(bench)
    mailbox: LatestValue[str] = LatestValue(delay_seconds=0)
    for job, word in ((first, "one"), (second, "two"), (first, "three")):
        mailbox.put(job, word)
    assert mailbox.take() == {first: "three", second: "two"}
    mailbox.put(second, "four")
    assert mailbox.take() == {second: "four"}


def test_of_a_job_that_is_over_sooner_nothing_is_told(bench: Bench) -> None:
    job = running(bench)
    mailbox: LatestValue[str] = LatestValue(delay_seconds=3600)
    taken: list[dict[ActiveJob, str]] = []
    taker = threading.Thread(target=lambda: taken.append(mailbox.take()))
    taker.start()
    mailbox.put(job, "begun")
    mailbox.discard(job)
    mailbox.close()
    taker.join(60)
    assert taken == [{}]


def test_who_waits_for_word_is_let_go_when_it_is_closed() -> None:
    mailbox: LatestValue[str] = LatestValue(delay_seconds=3600)
    taker = threading.Thread(target=mailbox.take)
    taker.start()
    mailbox.close()
    taker.join(60)
    assert not taker.is_alive()
    assert mailbox.take() == {}
