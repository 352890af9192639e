"""The store is full, or may not be written."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.status import JobState
from tests.faults.valkey import Valkey
from tests.worker.conftest import Bench
from tests.worker.processes import worker

pytestmark = pytest.mark.service

PLACE = "outputs/txt2img-samples"
PAGE = 4096
"""The least that a file takes of such a disk, in bytes."""


def mounted(options: str, folder: Path) -> None:
    """Mount a file system in memory, or change how it is mounted."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk needs the right to mount: {done.stderr.strip()}")


@pytest.fixture
def disk(bench: Bench) -> Iterator[Path]:
    """The store on a disk of 64 KiB."""
    if not shutil.which("mount"):
        pytest.skip("a small disk needs the command mount")
    bench.outputs.mkdir()
    mounted("size=64k", bench.outputs)
    yield bench.outputs
    subprocess.run(["umount", str(bench.outputs)], check=True)


def assert_failed_for_want_of_room(bench: Bench, job: str, reason: str) -> None:
    status = bench.ended(job)
    assert status.state is JobState.FAILURE
    assert status.failure
    assert status.failure.code == "storage_full"
    assert reason in status.failure.message
    assert not [name for name in bench.files() if job in name], "a part was left"


def test_a_full_or_write_protected_disk_fails_jobs_and_not_the_worker(
    bench: Bench, valkey: Valkey, disk: Path
) -> None:
    with worker(bench, valkey.url) as handle:
        first = bench.send()
        assert bench.ended(first).state is JobState.SUCCESS

        ballast = disk / "ballast"
        with pytest.raises(OSError, match="No space left"), ballast.open("wb") as file:
            while True:
                file.write(b"x" * 512)
                file.flush()
        assert_failed_for_want_of_room(bench, bench.send(), "No space left")
        with ballast.open("r+b") as file:
            file.truncate(ballast.stat().st_size - 4 * PAGE)  # some of the pictures fit
        assert_failed_for_want_of_room(bench, bench.send(n_iter=8), "No space left")
        ballast.unlink()
        second = bench.send()
        assert bench.ended(second).state is JobState.SUCCESS

        mounted("remount,ro", disk)
        assert_failed_for_want_of_room(bench, bench.send(), "Read-only")
        mounted("remount,rw,size=64k", disk)
        third = bench.send()
        assert bench.ended(third).state is JobState.SUCCESS
        assert handle.process.poll() is None
    assert bench.files() == sorted(f"{PLACE}/{job}_0.png" for job in (first, second, third))
