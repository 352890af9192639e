import pytest

from worker.execution import progress_clock
from worker.execution.progress_clock import ProgressClock


class Time:
    """A clock that a test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(progress_clock, "time", clock)
    return clock


def problem(clock: ProgressClock) -> str:
    return clock.problem(progress_seconds=60, deadline_seconds=600)


def test_a_job_that_does_not_progress_hangs(time: Time) -> None:
    clock = ProgressClock()
    for _ in range(5):
        time.now += 59
        assert not problem(clock)
        clock.note()
    time.now += 61
    assert problem(clock) == "has not progressed for 61 s; allowed: 60 s"


def test_a_larger_batch_may_take_longer_for_an_evaluation(time: Time) -> None:
    clock = ProgressClock()
    clock.expect_batches_of(8 * 512 * 512)
    time.now += 119
    assert not problem(clock)
    time.now += 2
    assert problem(clock)


def test_a_small_batch_has_the_whole_time(time: Time) -> None:
    clock = ProgressClock()
    clock.expect_batches_of(64 * 64)
    time.now += 59
    assert not problem(clock)


def test_evaluations_that_lead_nowhere_end_at_the_deadline(time: Time) -> None:
    clock = ProgressClock()
    while not problem(clock):
        time.now += 10
        clock.note_share(0.5)
    assert time.now == 1610
    assert problem(clock) == "has run for 610 s; deadline: 600 s"


def test_the_deadline_of_a_long_job_follows_from_its_measured_rate(time: Time) -> None:
    clock = ProgressClock()
    for step in range(100):
        time.now += 50
        clock.note_share((step + 1) / 100)
        assert not problem(clock)


def test_the_deadline_counts_from_the_end_of_loading(time: Time) -> None:
    clock = ProgressClock()
    for _ in range(100):
        time.now += 50
        clock.note_loading()
        assert not problem(clock)
    time.now += 59
    assert not problem(clock)
