"""Work that never returns: a store, a loader, an evaluation. No thread can be ended."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from jobs.names import GenerationKind
from jobs.status import JobState
from tests.faults.valkey import Valkey
from tests.worker.conftest import Bench, until
from tests.worker.processes import WorkerHandle, started, worker
from tests.worker.small import ENDLESS, HANGS, SLOW
from worker.graceful_shutdown import EXIT_FOR_RESTART

pytestmark = pytest.mark.service

LONG = 100  # steps of a tenth of a second
IMPATIENT = {"PROGRESS_SECONDS": "5", "DEADLINE_SECONDS": "8"}


@contextmanager
def store_hangs_for(bench: Bench, job_id: str) -> Iterator[None]:
    """A process that opens a FIFO to read waits for a writer, here for ever."""
    picture = bench.outputs / "inputs" / f"{job_id}.init.png"
    data = picture.read_bytes()
    picture.unlink()
    os.mkfifo(picture)
    yield
    picture.unlink(missing_ok=True)
    picture.write_bytes(data)


def assert_left_for_a_restart(handle: WorkerHandle, reason: str) -> None:
    assert handle.process.wait(240) == EXIT_FOR_RESTART, handle.log.read_text()
    assert reason in handle.log.read_text()


def test_a_store_that_hangs_costs_one_attempt_of_one_job(bench: Bench, valkey: Valkey) -> None:
    hung, other = bench.submit("img2img"), bench.submit(ddim_steps=10 * LONG)
    with (
        store_hangs_for(bench, hung),
        started(bench, valkey.url, CONCURRENCY="2", **IMPATIENT) as first,
    ):
        assert_left_for_a_restart(first, "has not progressed")
    # the other job was handed back, in order
    assert (bench.status(other).state, bench.status(other).attempts) == (JobState.PENDING, 0)
    bench.hurry()
    with worker(bench, valkey.url, CONCURRENCY="2"):
        ended = {job: bench.ended(job) for job in (hung, other)}
    assert {status.state for status in ended.values()} == {JobState.SUCCESS}
    assert (ended[hung].attempts, ended[other].attempts) == (2, 1)
    assert not [name for name in bench.files() if ".parts" in name]


def test_a_job_that_never_ends_fails_after_three_workers_and_no_other_job_waits_for_it(
    bench: Bench, valkey: Valkey
) -> None:
    hung, waiting = bench.submit(prompt=HANGS), bench.submit()
    for _ in range(3):
        with started(bench, valkey.url, PRELOAD="false", **IMPATIENT) as handle:
            assert_left_for_a_restart(handle, "has not progressed")
    with worker(bench, valkey.url):
        assert bench.ended(waiting).state is JobState.SUCCESS
        failed = bench.ended(hung)
    assert (failed.state, failed.attempts) == (JobState.FAILURE, 3)
    assert failed.failure
    assert failed.failure.code == "worker_died"


@pytest.mark.parametrize(
    ("prompt", "model", "reason"),
    [(ENDLESS, "small", "deadline"), ("", SLOW, "has not progressed")],
)
def test_whatever_never_ends_costs_its_job_an_attempt_and_no_other(
    bench: Bench, valkey: Valkey, prompt: str, model: str, reason: str
) -> None:
    (bench.models / f"{SLOW}.safetensors").touch()
    hung, waiting = bench.submit(prompt=prompt, model=model), bench.submit()
    with started(bench, valkey.url, PRELOAD="false", **IMPATIENT) as handle:
        assert_left_for_a_restart(handle, reason)
    assert [bench.status(job).attempts for job in (hung, waiting)] == [1, 0]


def test_a_default_model_that_never_loads_does_not_hold_the_worker(
    bench: Bench, valkey: Valkey
) -> None:
    (bench.models / f"{SLOW}.safetensors").touch()
    with worker(bench, valkey.url, DEFAULT_MODEL=SLOW, **IMPATIENT) as handle:
        job = bench.send(model=SLOW)  # it waits for the loading, and that is no hang of its own
        assert_left_for_a_restart(handle, "the loading of the default model has not progressed")
    assert (bench.status(job).state, bench.status(job).attempts) == (JobState.PENDING, 0)


@pytest.mark.parametrize("prompt", [HANGS, "a store that hangs"])
def test_a_hung_job_can_be_cancelled_and_its_worker_tells_how_long_it_hangs(
    bench: Bench, valkey: Valkey, prompt: str
) -> None:
    kind: GenerationKind = "txt2img" if prompt == HANGS else "img2img"
    job = bench.submit(kind, prompt=prompt)
    hanging = store_hangs_for(bench, job) if kind == "img2img" else nullcontext()
    with hanging, worker(bench, valkey.url) as handle:
        until(lambda: any(facts.oldest_progress_seconds > 3 for facts in bench.workers.alive()))
        assert bench.status(job).state in (JobState.LOADING, JobState.PROGRESS)
        bench.records.cancel(job)
        assert bench.ended(job).state is JobState.CANCELLED
        assert handle.process.poll() is None


def test_a_long_job_that_progresses_does_not_hang(bench: Bench, valkey: Valkey) -> None:
    with worker(bench, valkey.url, PROGRESS_SECONDS="8", DEADLINE_SECONDS="8.1"):
        status = bench.ended(bench.send(ddim_steps=LONG))
    assert (status.state, status.attempts) == (JobState.SUCCESS, 1)
