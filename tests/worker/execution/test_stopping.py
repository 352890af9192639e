"""A job that is cancelled, taken over or handed back while it runs."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobs.errors import RecordsUnavailable
from jobs.status import JobState
from tests.jobs.leases import lapse
from tests.worker.conftest import Bench, until
from tests.worker.small import SmallEngine
from worker.errors import StopReason
from worker.execution.execute_job import execute_job
from worker.models.model_key import ModelKey


def rob(bench: Bench, job_id: str) -> None:
    """Let a lease run out and reap the job, as if its worker were frozen: it may renew between."""
    while job_id not in {reaped.job_id for reaped in bench.claims.reap()}:
        lapse(bench.redis, job_id)


class HeldJob:
    """A job that is held after its first evaluation, and the thread that executes it."""

    def __init__(self, bench: Bench, job_id: str) -> None:
        self.job_id = job_id
        self.gate = threading.Event()
        self.engine = SmallEngine(gate=self.gate)
        self.reason: StopReason | None = None
        self._threads = bench.context(self.engine)
        self.context = self._threads.__enter__()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self.engine.started.wait(240)

    def _run(self) -> None:
        self.reason = execute_job(self.context, "standard")

    def release(self) -> None:
        self.gate.set()
        self._thread.join(240)
        assert not self._thread.is_alive()
        self._threads.__exit__(None, None, None)


@pytest.fixture
def held_job(bench: Bench) -> Callable[..., HeldJob]:
    return lambda **body: HeldJob(bench, bench.submit(**body))


def test_a_running_job_shows_its_progress(bench: Bench, held_job: Callable[..., HeldJob]) -> None:
    job = held_job(n_iter=2, ddim_steps=5)
    until(lambda: bench.status(job.job_id).state is JobState.PROGRESS)
    status = bench.status(job.job_id)
    assert status.progress
    assert (status.progress.step, status.progress.steps) == (1, 10)
    assert (status.progress.image, status.progress.images) == (1, 2)
    assert status.fraction == pytest.approx(0.1)
    assert status.progress.eta_seconds is not None
    job.release()
    assert bench.status(job.job_id).fraction == 1


def test_a_cancelled_job_stops_at_the_next_evaluation_and_stores_nothing(
    bench: Bench, held_job: Callable[..., HeldJob]
) -> None:
    job = held_job(ddim_steps=1000)
    bench.records.cancel(job.job_id)
    until(lambda: any(active._reason for active in job.context.leases.running()))
    job.release()
    assert job.reason is StopReason.CANCELLED
    assert bench.status(job.job_id).state is JobState.CANCELLED
    assert bench.files() == []
    next_one = bench.submit()
    bench.run()
    assert bench.status(next_one).state is JobState.SUCCESS


def test_a_job_that_another_worker_took_over_is_dropped(
    bench: Bench, held_job: Callable[..., HeldJob]
) -> None:
    job = held_job()
    rob(bench, job.job_id)
    bench.run()
    finished = bench.status(job.job_id)
    assert (finished.state, finished.attempts) == (JobState.SUCCESS, 2)
    job.release()
    assert job.reason is StopReason.LOST
    assert bench.status(job.job_id) == finished
    assert bench.files() == [f"outputs/txt2img-samples/{job.job_id}_0.png"]


def test_a_shutdown_hands_the_job_back(bench: Bench, held_job: Callable[..., HeldJob]) -> None:
    job = held_job()
    job.context.leases.stop_all(StopReason.HAND_BACK)
    job.release()
    assert job.reason is StopReason.HAND_BACK
    status = bench.status(job.job_id)
    assert (status.state, status.attempts, status.queue_position) == (JobState.PENDING, 0, 1)
    assert bench.files() == []
    bench.run()
    assert bench.status(job.job_id).state is JobState.SUCCESS


class LoadsUntilStopped(SmallEngine):
    """Completes the loading of the model `other` too late for any test."""

    def load(self, key: ModelKey, on_progress: Callable[[float], object]) -> Any:
        for _ in range(30_000 if key.name == "other" else 0):
            on_progress(0.5)
            self.started.set()
            time.sleep(0.01)
        return super().load(key, on_progress)


@pytest.mark.parametrize("reason", StopReason)
def test_a_job_that_loads_its_refiner_stops_at_once_and_lends_nothing(
    bench: Bench, reason: StopReason
) -> None:
    (bench.models / "other.safetensors").touch()
    job_id = bench.submit(refiner={"ckpt": "other"})
    engine = LoadsUntilStopped()
    with bench.context(engine) as context, ThreadPoolExecutor(1) as pool:
        ended = pool.submit(execute_job, context, "standard")
        assert engine.started.wait(240)
        until(lambda: bench.status(job_id).loading == 0.75)
        if reason is StopReason.CANCELLED:
            bench.records.cancel(job_id)
        elif reason is StopReason.LOST:
            rob(bench, job_id)
        else:
            context.leases.stop_all(reason)
        assert ended.result(60) is reason
        assert context.model_cache.loaded() == ("small",)
        assert not context.model_cache._queue
        assert [entry.loans for entry in context.model_cache._entries] == [0]


def test_pictures_that_a_frozen_worker_publishes_after_a_cancellation_are_deleted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    real = bench.claims.finish

    def finish(*arguments: object) -> object:
        # as if this worker was frozen since publishing, while the job was taken over and cancelled
        rob(bench, job_id)
        bench.records.cancel(job_id)
        assert bench.file_cleanup.clean(job_id)
        bench.store.put(f"outputs/txt2img-samples/{job_id}_0.png", b"published just now")
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.claims, "finish", finish)
    bench.run()
    assert bench.status(job_id).state is JobState.CANCELLED
    assert bench.files() == []


def test_a_job_cancelled_before_publishing_publishes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit("img2img")
    real, seen = bench.claims.publishing, []

    def publishing(*arguments: object, **options: object) -> object:
        bench.records.cancel(job_id)
        status = real(*arguments, **options)  # type: ignore[arg-type]
        seen.extend(name for name in bench.files() if name.startswith("outputs"))
        return status

    monkeypatch.setattr(bench.claims, "publishing", publishing)
    bench.run()
    assert bench.status(job_id).state is JobState.CANCELLED
    assert seen == bench.files() == []


def test_a_cancellation_that_comes_after_the_last_evaluation_still_holds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    real = bench.claims.finish

    def finish(*arguments: object) -> object:
        bench.records.cancel(job_id)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(bench.claims, "finish", finish)
    bench.run()
    assert bench.status(job_id).state is JobState.CANCELLED
    assert bench.files() == []


def test_an_ending_is_written_once_redis_is_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    real, failures = bench.claims.finish, [RecordsUnavailable("gone"), RecordsUnavailable("gone")]

    def finish(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("worker.execution.endings._RETRY_SECONDS", 0.01)
    monkeypatch.setattr(bench.claims, "finish", finish)
    bench.run()
    assert bench.status(job_id).state is JobState.SUCCESS
