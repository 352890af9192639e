"""What breaks in a storm: workers, Redis and its clock, the store, the code's version.

Each fault is a method of `Faults` that returns when the fault is over. It notes which jobs may
have lost their worker, and which times Redis may have forgotten.
"""

import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs import keys
from tests.faults.valkey import Valkey
from tests.worker.conftest import Bench
from tests.worker.processes import WorkerHandle

UNSYNCED_SECONDS = 2.0
"""For so long Redis may defer a write behind a slow disk, and lose it when it is killed."""
LONGER_THAN_A_LEASE = 4.0
HOUR = 3600
DISK = "64m"
HANG_SECONDS = 160.0
"""Within which a worker must have left that hangs in the store: PROGRESS_SECONDS is 5."""


class Faults:
    """The faults of one storm.

    Args:
        bench: records and store.
        valkey: the Redis.
        workers: the processes by number, each with one slot.
        start_worker: starts a worker.
        disk: whether the store is a disk of its own, which can be filled and write-protected.
        dice: decides.
    """

    def __init__(
        self,
        bench: Bench,
        valkey: Valkey,
        workers: list[WorkerHandle],
        start_worker: Callable[[], WorkerHandle],
        dice: random.Random,
        *,
        disk: bool,
    ) -> None:
        self._bench = bench
        self._valkey = valkey
        self._workers = workers
        self._start_worker = start_worker
        self._dice = dice
        self.lost_workers: Counter[str] = Counter()
        """How often a job may have lost its worker."""
        self.forgotten: list[tuple[float, float]] = []
        """From when to when (monotonic) Redis may have forgotten what was written."""
        self.repeated: set[str] = set()
        """Jobs that run again if Redis has forgotten their ends; their inputs may be deleted."""
        self.all: dict[str, Callable[[], None]] = {
            "kill a worker": self.kill_worker,
            "freeze a worker": self.freeze_worker,
            "kill redis": self.kill_redis,
            "freeze redis": self.freeze_redis,
            "set the clock forward": lambda: self.set_clock(HOUR),
            "set the clock back": lambda: self.set_clock(-HOUR),
            "restore an old file of redis": self.restore_redis,
            "hang the store": self.hang_store,
        }
        if disk:
            self.all["fill the disk"] = self.fill_disk
            self.all["write-protect the disk"] = self.protect_disk

    def kill_worker(self) -> None:
        number = self._dice.randrange(len(self._workers))
        self._bury(number, self._workers[number].kill)

    def freeze_worker(self) -> None:
        """For longer than its lease: its job is rightly taken by another."""
        worker = self._workers[self._dice.randrange(len(self._workers))]
        worker.freeze()
        jobs = self._jobs_of(worker)
        time.sleep(LONGER_THAN_A_LEASE)
        self.lost_workers.update(jobs | self._jobs_of(worker))
        worker.thaw()

    def kill_redis(self) -> None:
        killed = time.monotonic()
        self._valkey.kill()
        self._start_redis(forgotten_since=killed - UNSYNCED_SECONDS)

    def freeze_redis(self) -> None:
        """Nobody dies, so nobody may lose a job."""
        self._valkey.freeze()
        time.sleep(LONGER_THAN_A_LEASE)
        self._valkey.thaw()

    def set_clock(self, seconds: float) -> None:
        """Set Redis' clock: the times it keeps move the other way."""
        redis: Any = self._bench.redis
        pipe = redis.pipeline(transaction=True)
        for job, expires in redis.zrange(keys.LEASES, 0, -1, withscores=True):
            pipe.zadd(keys.LEASES, {job: expires - seconds}, xx=True)
        for field, value in redis.hgetall(keys.REAPER).items():
            pipe.hset(keys.REAPER, field, float(value) - seconds)
        pipe.execute()

    def restore_redis(self) -> None:
        """Redis forgets its last two seconds, as after a restore of its append-only file."""
        copied = time.monotonic()
        copy = self._valkey.folder.with_name("valkey-copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._valkey.folder, copy)
        time.sleep(2)
        self._valkey.kill()
        shutil.rmtree(self._valkey.folder)
        copy.rename(self._valkey.folder)
        self._start_redis(forgotten_since=copied - UNSYNCED_SECONDS)

    def hang_store(self) -> None:
        """Reading the init image of a waiting job never returns; the worker must leave."""
        job = next((j for j in self._waiting() if self._input_of(j).is_file()), None)
        if job is None:
            return
        picture, aside = self._input_of(job), self._input_of(job).with_suffix(".aside")
        try:
            picture.rename(aside)
        except FileNotFoundError:
            return  # a worker has drawn it meanwhile
        os.mkfifo(picture)
        deadline = time.monotonic() + HANG_SECONDS
        while time.monotonic() < deadline and picture.exists():
            for number, worker in enumerate(self._workers):
                if worker.process.poll() is not None:
                    self.lost_workers[job] += 1
                    self._bury(number, lambda: None)
                    deadline = 0
            time.sleep(0.1)
        if picture.exists():
            aside.replace(picture)
        else:  # a worker had opened it before: the job has ended
            aside.unlink(missing_ok=True)

    def fill_disk(self) -> None:
        ballast = self._bench.outputs / ".ballast"
        try:
            with ballast.open("wb") as file:
                while True:
                    file.write(bytes(1 << 20))
        except OSError:
            pass
        time.sleep(LONGER_THAN_A_LEASE)
        ballast.unlink()

    def protect_disk(self) -> None:
        mount("remount,ro", self._bench.outputs)
        time.sleep(LONGER_THAN_A_LEASE)
        mount(f"remount,rw,size={DISK}", self._bench.outputs)

    def replace_workers(self) -> None:
        """One after the other, as an update does: each hands its job back."""
        for number, worker in enumerate(self._workers):
            self._bury(number, lambda worker=worker: worker.terminate())

    def _start_redis(self, *, forgotten_since: float) -> None:
        """A job that Redis takes for running may have ended, which it has forgotten."""
        self.forgotten.append((forgotten_since, time.monotonic()))
        self._valkey.start()
        redis: Any = self._bench.redis
        running: list[str] = redis.zrange(keys.LEASES, 0, -1)
        self.lost_workers.update(running)
        self.repeated |= {*running, *self._waiting()}

    def _bury(self, number: int, end: Callable[[], object]) -> None:
        """End a worker, note the job it had, and start its successor."""
        worker = self._workers[number]
        jobs = self._jobs_of(worker)
        end()
        self.lost_workers.update(jobs | self._jobs_of(worker))
        self._workers[number] = self._start_worker()

    def _jobs_of(self, worker: WorkerHandle) -> set[str]:
        """The jobs that a worker has claimed."""
        redis: Any = self._bench.redis
        running: list[str] = redis.zrange(keys.LEASES, 0, -1)
        owners = {job: str(redis.hget(keys.job(job), "owner")) for job in running}
        return {job for job, owner in owners.items() if f"-{worker.process.pid}-" in owner}

    def _waiting(self) -> list[str]:
        redis: Any = self._bench.redis
        places: list[str] = redis.zrange(keys.queue("standard"), 0, -1)
        return [keys.job_of(place) for place in places]

    def _input_of(self, job: str) -> Path:
        return self._bench.outputs / "inputs" / f"{job}.init.png"


def mount(options: str, folder: Path) -> bool:
    """Mount a file system in memory, or change how it is mounted; False: that is not allowed."""
    if not shutil.which("mount"):
        return False
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def plan(names: list[str], count: int, dice: random.Random) -> list[str]:
    """Which fault comes when: half of them kill a worker, the others take turns in any order."""
    others = [name for name in names if name != "kill a worker"]
    turns: list[str] = []
    while len(turns) < count:
        turns += dice.sample(others, len(others))
    return [turns.pop(0) if number % 2 else "kill a worker" for number in range(count)]
