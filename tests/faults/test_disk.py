"""The store is full, or may not be written."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.status import JobState
from tests.faults.api import client_of, running_api
from tests.faults.storm_faults import mount
from tests.faults.valkey import Valkey
from tests.worker.conftest import Bench, until
from tests.worker.processes import WorkerHandle, worker

pytestmark = pytest.mark.service

PLACE = "outputs/txt2img-samples"
PAGE = 4096
"""The least that a file takes of such a disk, in bytes."""
MANY = 40
SETTINGS = {
    "STORE_ROOM": str(4 * PAGE),
    "STORE_PROBE_SECONDS": "0.3",
    "POSTPONE_SECONDS": ",".join(["0.5"] * 200),
}
NOT_CLAIMING = "the picture store cannot be used; no jobs are claimed"


@pytest.fixture
def disk(bench: Bench) -> Iterator[Path]:
    """The store on a disk of 2 MiB."""
    bench.outputs.mkdir()
    if not mount("size=2m", bench.outputs):
        pytest.skip("a small disk needs the right to mount")
    yield bench.outputs
    subprocess.run(["umount", str(bench.outputs)], check=True)


def remount(options: str, disk: Path) -> None:
    """Change how the disk is mounted; while a file is being written, that is refused."""
    until(lambda: mount(f"remount,{options}", disk))


def filled(disk: Path, *, free: int) -> Path:
    """Fill the disk except for so many bytes; returns the file that fills it."""
    ballast = disk / "ballast"
    with pytest.raises(OSError, match="No space left"), ballast.open("wb") as file:
        while True:
            file.write(b"x" * 512)
            file.flush()
    with ballast.open("r+b") as file:
        file.truncate(ballast.stat().st_size - free)
    return ballast


def problem(bench: Bench) -> str:
    """What the worker announces."""
    return bench.only_worker().problem


def claims(handle: WorkerHandle) -> int:
    """How many jobs the worker has claimed."""
    return handle.log.read_text().count("job claimed")


def assert_all_succeed(bench: Bench, jobs: list[str]) -> None:
    for job in jobs:
        status = bench.ended(job)
        assert (status.state, status.failure, status.attempts) == (JobState.SUCCESS, None, 1)
    stored = {name for name in bench.files() if name != "ballast"}
    assert stored == {f"{PLACE}/{job}_0.png" for job in jobs}


def test_while_the_disk_is_read_only_waiting_jobs_wait(
    bench: Bench, valkey: Valkey, disk: Path
) -> None:
    with worker(bench, valkey.url, **SETTINGS) as handle:
        first = bench.send()
        bench.ended(first)
        remount("ro", disk)
        jobs = [bench.send() for _ in range(MANY)]
        until(lambda: "Read-only" in problem(bench))
        claimed = claims(handle)
        assert claimed <= 3  # the first, and what was claimed before the next probe
        until(lambda: bench.redis.time()[0] > (bench.status(jobs[-1]).submitted + 5))
        assert claims(handle) == claimed
        assert {bench.status(job).state for job in jobs} == {JobState.PENDING}

        remount("rw,size=2m", disk)
        assert_all_succeed(bench, [first, *jobs])
        until(lambda: problem(bench) == "")
        assert handle.process.poll() is None
        assert handle.log.read_text().count(NOT_CLAIMING) == 1


def test_while_the_disk_is_full_no_job_is_drawn_and_none_fails(
    bench: Bench, valkey: Valkey, disk: Path
) -> None:
    with worker(bench, valkey.url, **SETTINGS) as handle:
        first = bench.send()
        bench.ended(first)
        ballast = filled(disk, free=PAGE)
        until(lambda: bench.redis.time()[0] > (bench.status(first).finished or 0) + 2)
        jobs = [bench.send() for _ in range(3)]
        until(lambda: "16384 bytes are needed, and 4096 are free" in problem(bench))
        assert claims(handle) == 1
        ballast.unlink()
        assert_all_succeed(bench, [first, *jobs])
        assert handle.process.poll() is None


def test_a_worker_that_waits_for_its_store_can_be_stopped(
    bench: Bench, valkey: Valkey, disk: Path
) -> None:
    with worker(bench, valkey.url, **SETTINGS) as first:
        bench.ended(bench.send())
        remount("ro", disk)
        jobs = [bench.send() for _ in range(2)]
        until(lambda: problem(bench))
        time.sleep(2)  # a message waits in the worker
        assert first.terminate() == 0
    assert {bench.status(job).state for job in jobs} == {JobState.PENDING}
    remount("rw,size=2m", disk)
    with worker(bench, valkey.url, **SETTINGS):
        for job in jobs:
            assert bench.ended(job).state is JobState.SUCCESS


def test_a_job_that_does_not_fit_lets_others_pass_and_fails_in_the_end(
    bench: Bench, valkey: Valkey, disk: Path
) -> None:
    few = SETTINGS | {"POSTPONE_SECONDS": "0.5,0.5"}
    with worker(bench, valkey.url, **few) as handle:
        filled(disk, free=20 * PAGE)  # some of the pictures fit
        large = bench.send(n_iter=8)
        small = bench.send()
        assert bench.ended(small).state is JobState.SUCCESS
        status = bench.ended(large)
        assert status.state is JobState.FAILURE
        assert status.failure
        assert status.failure.code == "storage_full"
        assert status.fraction == 0  # it was not drawn
        assert not [name for name in bench.files() if large in name]
        assert problem(bench) == ""
        assert handle.process.poll() is None


def test_the_api_is_not_ready_while_a_picture_does_not_fit(
    bench: Bench, valkey: Valkey, disk: Path
) -> None:
    with (
        worker(bench, valkey.url),
        running_api(bench, valkey.url) as api,
        client_of(api) as client,
    ):
        until(lambda: client.get("/readyz").status_code == 200)
        ballast = filled(disk, free=284_000)
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["missing"] == ["store"]
        job = client.post("/generate", json={"prompt": "a", "type": "standard"}).json()["task_id"]
        until(lambda: "1000000 bytes are needed" in client.get("/workers").text)
        assert client.get(f"/status/{job}").json()["State"] == "PENDING"
        ballast.unlink()
        until(lambda: client.get("/readyz").status_code == 200)
        assert bench.ended(job).state is JobState.SUCCESS
