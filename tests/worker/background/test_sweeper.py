import threading
from pathlib import Path

import pytest

from jobs import keys
from jobs.errors import StoreError
from jobs.records.expiry import Expiry, Retention
from jobs.status import JobState
from tests.worker.conftest import Bench
from worker.background.sweeper import Sweeper


def sweeper(bench: Bench, **keeping: int) -> Sweeper:
    expiry = Expiry(bench.redis, Retention(**({"transient_seconds": 600} | keeping)))
    return Sweeper(bench.redis, expiry, bench.file_cleanup, seconds=60, orphan_grace=600)


def finished(bench: Bench) -> str:
    job_id = bench.submit()
    bench.run()
    return job_id


def test_expired_images_and_leftover_inputs_are_deleted(bench: Bench) -> None:
    old, young = finished(bench), finished(bench)
    bench.redis.zadd(keys.PICTURES + keys.SAVED, {old: 0})
    cancelled = bench.submit("img2img")
    bench.records.cancel(cancelled)  # by a process that died before deleting its files
    sweeper(bench, saved_seconds=600).tick()
    assert bench.files() == [f"outputs/txt2img-samples/{young}_0.png"]
    assert bench.records.recent() == (young,)


def test_the_oldest_images_beyond_the_budget_are_deleted(bench: Bench) -> None:
    jobs = [finished(bench) for _ in range(5)]
    size = (bench.outputs / f"outputs/txt2img-samples/{jobs[0]}_0.png").stat().st_size
    sweeper(bench, max_bytes=2 * size + size // 2).tick()
    assert bench.files() == sorted(f"outputs/txt2img-samples/{job}_0.png" for job in jobs[3:])


def test_one_sweeper_runs_at_a_time_and_its_lock_expires(bench: Bench) -> None:
    bench.records.cancel(bench.submit("img2img"))
    other = bench.redis.lock(keys.SWEEP_LOCK, timeout=60)
    assert other.acquire(blocking=False)
    sweeper(bench).tick()
    assert len(bench.files()) == 1
    bench.redis.delete(keys.SWEEP_LOCK)  # as Redis does when the lock expires
    sweeper(bench).tick()
    assert bench.files() == []
    assert not bench.redis.exists(keys.SWEEP_LOCK)


def test_a_failing_store_is_swept_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench.records.cancel(bench.submit("img2img"))

    def broken(name: str) -> None:
        raise StoreError("read-only")

    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "delete", broken)
        sweeper(bench).tick()
    assert len(bench.files()) == 1
    sweeper(bench).tick()
    assert bench.files() == []


def test_two_sweepers_at_once_delete_no_more_than_one(bench: Bench) -> None:
    old, young = finished(bench), finished(bench)
    bench.redis.zadd(keys.PICTURES + keys.SAVED, {old: 0})
    sweepers = [threading.Thread(target=sweeper(bench, saved_seconds=600).tick) for _ in range(2)]
    for thread in sweepers:
        thread.start()
    for thread in sweepers:
        thread.join()
    sweeper(bench, saved_seconds=600).tick()
    assert bench.files() == [f"outputs/txt2img-samples/{young}_0.png"]


def test_a_waiting_job_whose_queue_was_deleted_is_found(bench: Bench) -> None:
    job_id = bench.submit()
    bench.redis.delete(keys.queue("standard"))
    sweeper(bench).tick()
    bench.run()
    assert bench.records.get(job_id).state is JobState.SUCCESS
