import pytest

from tests.worker.small import SmallEvaluation
from worker.execution.progress_meter import ProgressMeter


def test_progress_covers_all_images_and_reaches_1_only_with_success() -> None:
    meter = ProgressMeter(batch_size=2, images=4)
    seen = [
        meter.read(SmallEvaluation(iteration, 2, step, 5, (iteration + step / 5) / 2))  # type: ignore[arg-type]
        for iteration in range(2)
        for step in range(1, 6)
    ]
    assert [progress.step for progress in seen] == list(range(1, 11))
    assert {progress.steps for progress in seen} == {10}
    assert [progress.image for progress in seen] == [1] * 5 + [3] * 5
    assert seen[-1].fraction < 1
    assert seen[-1].eta_seconds == 0


def test_the_time_left_follows_the_measured_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 103.0])
    monkeypatch.setattr("worker.execution.progress_meter.time.monotonic", lambda: next(clock))
    progress = ProgressMeter(1, 1).read(SmallEvaluation(0, 1, 1, 4, 0.25))  # type: ignore[arg-type]
    assert progress.eta_seconds == pytest.approx(9)


def test_a_sampler_that_runs_longer_than_planned_stays_below_one() -> None:
    progress = ProgressMeter(1, 1).read(SmallEvaluation(0, 1, 70, 60, 1.0))  # type: ignore[arg-type]
    assert (progress.step, progress.steps) == (60, 60)
    assert progress.fraction < 1


def test_progress_continues_from_one_prompt_to_the_next() -> None:
    meter = ProgressMeter(batch_size=1, images=2, evaluations=(1, 1))
    seen = [
        meter.read(SmallEvaluation(0, 1, step, 2, step / 2), prompt)  # type: ignore[arg-type]
        for prompt in range(2)
        for step in (1, 2)
    ]
    assert [progress.fraction for progress in seen] == [0.25, 0.5, 0.75, 0.99]
    assert [(progress.step, progress.steps) for progress in seen] == [(n, 4) for n in range(1, 5)]
    assert [progress.image for progress in seen] == [1, 1, 2, 2]


def test_parts_count_by_their_work() -> None:
    meter = ProgressMeter(batch_size=1, images=2, evaluations=(2, 6))
    seen = [
        meter.read(SmallEvaluation(0, 1, step, steps, step / steps), part)  # type: ignore[arg-type]
        for part, steps in enumerate((2, 6))
        for step in range(1, steps + 1)
    ]
    assert [(progress.step, progress.steps) for progress in seen] == [(n, 8) for n in range(1, 9)]
    assert seen[1].fraction == 0.25


def test_steps_are_counted_whatever_each_of_them_costs() -> None:
    meter = ProgressMeter(batch_size=1, images=2, evaluations=(2, 2), sizes=(1, 4))
    seen = [
        meter.read(SmallEvaluation(0, 1, step, 2, step / 2), part)  # type: ignore[arg-type]
        for part in range(2)
        for step in (1, 2)
    ]
    assert [(progress.step, progress.steps) for progress in seen] == [(n, 4) for n in range(1, 5)]
    assert [progress.fraction for progress in seen] == [0.1, 0.2, 0.6, 0.99]
