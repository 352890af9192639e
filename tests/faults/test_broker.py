"""Redis hangs, is away, dies, or has no room left."""

import time
from collections.abc import Iterator

import pytest

from jobs.status import JobState
from tests.api.serving import RunningApi
from tests.faults.api import accepted, assert_refused, client_of, running_api
from tests.faults.valkey import Valkey
from tests.worker.conftest import Bench, bench_on, until
from tests.worker.processes import started, worker

pytestmark = pytest.mark.service

LONG = 30  # steps of a tenth of a second
TYPES = 5 * ("standard", "optimized")


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One server, and one API that outlives all that is done to it."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def bench(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_on(valkey.url, tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def api(bench: Bench, valkey: Valkey) -> Iterator[RunningApi]:
    with running_api(bench, valkey.url) as running:
        yield running


@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["hangs", "is shut down"])
def test_while_redis_is_away_the_api_refuses_and_afterwards_no_job_is_lost(
    bench: Bench, valkey: Valkey, api: RunningApi, how: str, seconds: float
) -> None:
    away, back = (valkey.freeze, valkey.thaw) if how == "hangs" else (valkey.stop, valkey.start)
    with (
        client_of(api) as client,
        worker(bench, valkey.url) as handle,
    ):
        jobs = [accepted(client, ddim_steps=LONG) for _ in range(3)]
        until(lambda: bench.status(jobs[0]).state is JobState.PROGRESS)

        away()
        until_then = time.monotonic() + seconds
        asked = 0
        while time.monotonic() < until_then or not asked:
            assert_refused(client.post("/generate", json={"prompt": "a cat"}))
            assert_refused(client.get(f"/status/{jobs[0]}"))
            assert client.get("/healthz").status_code == 200
            assert "records" in client.get("/readyz").json()["missing"]
            asked += 1
        back()

        jobs.append(accepted(client))
        for job in jobs:
            ended = bench.ended(job)
            assert (ended.state, ended.failure) == (JobState.SUCCESS, None)
        assert handle.process.poll() is None
    assert {f"outputs/txt2img-samples/{job}_0.png" for job in jobs} <= set(bench.files())
    assert not [name for name in bench.files() if ".parts" in name]


def test_after_a_kill_of_redis_every_job_accepted_a_second_ago_is_there(
    bench: Bench, valkey: Valkey, api: RunningApi
) -> None:
    with (
        client_of(api) as client,
        worker(bench, valkey.url) as handle,
    ):
        handle.freeze()  # jobs of its type are accepted, and none is drawn
        jobs = [accepted(client) for _ in range(20)]
        time.sleep(1)  # the second that the promise leaves out; two behind a slow disk
        until(lambda: valkey.client.info("persistence")["aof_buffer_length"] == 0)

        valkey.kill()
        assert_refused(client.get(f"/status/{jobs[0]}"))
        valkey.start()

        places = [client.get(f"/status/{job}").json()["queue_place"] for job in jobs]
        assert sorted(places) == list(range(1, 21))
        handle.thaw()
        for job in jobs:
            assert bench.ended(job).state is JobState.SUCCESS
        assert {f"outputs/txt2img-samples/{job}_0.png" for job in jobs} <= set(bench.files())


def test_a_full_memory_refuses_new_jobs_and_lets_running_ones_finish(
    bench: Bench, valkey: Valkey, api: RunningApi
) -> None:
    with (
        client_of(api) as client,
        started(bench, valkey.url) as handle,
    ):
        until(bench.workers.alive)
        running = accepted(client, ddim_steps=LONG)
        waiting = accepted(client)
        until(lambda: bench.status(running).state is JobState.PROGRESS)

        valkey.fill_memory()
        assert_refused(client.post("/generate", json={"prompt": "a cat"}))
        assert bench.ended(running).state is JobState.SUCCESS
        assert_refused(client.post("/generate", json={"prompt": "a cat"}))
        valkey.relieve_memory()

        # the same worker is no zombie: it takes what waited, and what is new
        assert bench.ended(waiting).state is JobState.SUCCESS
        assert bench.ended(accepted(client)).state is JobState.SUCCESS
        assert handle.process.poll() is None


@pytest.mark.parametrize("messages", ["sent", "lost"])
def test_while_the_memory_is_full_all_waiting_jobs_are_executed(
    bench: Bench, valkey: Valkey, messages: str
) -> None:
    with worker(bench, valkey.url) as handle:
        running = bench.send(ddim_steps=LONG)
        until(lambda: bench.status(running).state is JobState.PROGRESS)
        enqueue = bench.send if messages == "sent" else bench.submit
        waiting = [enqueue("img2img" if n % 3 else "txt2img", type=t) for n, t in enumerate(TYPES)]
        valkey.fill_memory()
        try:
            for job in [running, *waiting]:
                assert bench.ended(job).state is JobState.SUCCESS
        finally:
            valkey.relieve_memory()
        assert bench.ended(bench.send()).state is JobState.SUCCESS
        assert handle.process.poll() is None


def test_a_worker_that_starts_while_the_memory_is_full_executes_what_waits(
    bench: Bench, valkey: Valkey
) -> None:
    waiting = [bench.send(type=job_type) for job_type in TYPES]
    valkey.fill_memory()
    try:
        with worker(bench, valkey.url) as handle:
            for job in waiting:
                assert bench.ended(job).state is JobState.SUCCESS
            assert handle.terminate() == 0
    finally:
        valkey.relieve_memory()


@pytest.mark.parametrize(("away", "slots"), [("kill", "2"), ("stop", "1")])
def test_a_worker_goes_on_after_redis_was_gone_while_a_job_ran(
    bench: Bench, valkey: Valkey, away: str, slots: str
) -> None:
    with worker(bench, valkey.url, CONCURRENCY=slots, LEASE_SECONDS="30") as handle:
        running = bench.send(ddim_steps=2 * LONG)
        until(lambda: bench.status(running).fraction > 0.1)
        getattr(valkey, away)()
        time.sleep(3)
        valkey.start()

        status = bench.ended(running)
        assert (status.state, status.attempts) == (JobState.SUCCESS, 1)
        for _ in range(3):
            assert bench.ended(bench.send()).state is JobState.SUCCESS
        assert handle.process.poll() is None
        assert "Unrecoverable" not in handle.log.read_text()
        assert handle.terminate() == 0
