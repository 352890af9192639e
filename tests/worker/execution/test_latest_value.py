"""The latest value of each running job."""

import threading

from tests.worker.conftest import Bench
from worker.execution.active_job import ActiveJob
from worker.execution.latest_value import LatestValue


def claimed(bench: Bench) -> ActiveJob:
    """A claimed job."""
    bench.submit()
    claim = bench.claims.claim("standard", "a worker")
    assert claim
    return ActiveJob(claim)


def test_the_latest_value_of_each_job_is_taken_once(bench: Bench) -> None:
    first, second = claimed(bench), claimed(bench)
    values: LatestValue[str] = LatestValue(delay_seconds=0)
    for job, value in ((first, "one"), (second, "two"), (first, "three")):
        values.put(job, value)
    assert values.take() == {first: "three", second: "two"}
    values.put(second, "four")
    assert values.take() == {second: "four"}


def test_the_value_of_a_job_that_ends_within_the_delay_is_dropped(bench: Bench) -> None:
    job = claimed(bench)
    values: LatestValue[str] = LatestValue(delay_seconds=3600)
    taken: list[dict[ActiveJob, str]] = []
    thread = threading.Thread(target=lambda: taken.append(values.take()))
    thread.start()
    values.put(job, "begun")
    values.discard(job)
    values.close()
    thread.join(60)
    assert taken == [{}]


def test_closing_ends_the_wait_for_values() -> None:
    values: LatestValue[str] = LatestValue(delay_seconds=3600)
    thread = threading.Thread(target=values.take)
    thread.start()
    values.close()
    thread.join(60)
    assert not thread.is_alive()
    assert values.take() == {}
