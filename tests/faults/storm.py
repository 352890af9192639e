"""The storm: jobs through the real API while everything breaks, then the count.

    python -m tests.faults.storm --jobs 1000 --seed 7

Workers and Redis are killed and frozen, Redis' clock is set, its file is restored from two seconds
ago, the store hangs, is full and write-protected (where this user may mount a disk), and with
`--update-from` the code is replaced in the middle. Whatever dies is started again. Then everything
must come to rest: every job that was answered 202 has ended once and for all, with exactly its
pictures, and no living worker was robbed of one.
"""

import argparse
import dataclasses
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from jobs.errors import JobExpired, NoSuchJob, RecordsUnavailable
from jobs.records.counts import count_jobs
from jobs.status import JobState, JobStatus
from tests.faults.api import BODY, KEY, running_api
from tests.faults.storm_faults import DISK, Faults, mount, plan
from tests.faults.valkey import Valkey
from tests.worker.conftest import bench_on, png
from tests.worker.processes import REPOSITORY, WorkerHandle, started_in

APP = "tests.worker.small_app"
SETTINGS = {
    "SWEEP_SECONDS": "1",
    "ORPHAN_GRACE": "5",
    "STORE_PROBE_SECONDS": "0.5",
    "PROGRESS_SECONDS": "5",
    "POSTPONE_SECONDS": "1,1,2,2,4,4,8,8",
}
RESTED_SECONDS = 5.0
"""Between two faults that let Redis forget, so that their windows do not grow together."""


@dataclass(frozen=True)
class Weather:
    """The settings of a storm.

    Attributes:
        jobs: how many are submitted.
        seed: of all random choices.
        workers: processes, each with one slot.
        faults: how many things break; every second one is a worker that is killed.
        every: seconds between two faults.
        drain: seconds within which every job must then have ended.
        update_from: a git revision whose code runs at first; empty: the present code throughout.
    """

    jobs: int = 300
    seed: int = 1
    workers: int = 3
    faults: int = 40
    every: float = 2
    drain: float = 600
    update_from: str = ""


@dataclass
class Outcome:
    """What became of the jobs. All numbers but the first two must be 0."""

    submitted: int = 0
    forgotten: int = 0
    faults: dict[str, int] = field(default_factory=dict[str, int])
    left_out: list[str] = field(default_factory=list[str])
    by_state: dict[str, int] = field(default_factory=dict[str, int])
    failures: dict[str, int] = field(default_factory=dict[str, int])
    lost: int = 0
    stuck: int = 0
    doubled: int = 0
    changed: int = 0
    robbed: int = 0
    failed: int = 0
    orphan_files: int = 0
    missing_files: int = 0
    leases: int = 0

    @property
    def harm(self) -> int:
        """How much went wrong."""
        counted = (
            "lost",
            "stuck",
            "doubled",
            "changed",
            "robbed",
            "failed",
            "orphan_files",
            "missing_files",
        )
        return sum(getattr(self, name) for name in (*counted, "leases"))


class Storm:
    """One storm over one service in a folder."""

    def __init__(self, weather: Weather, folder: Path) -> None:
        self._weather = weather
        self._folder = folder
        self._dice = random.Random(weather.seed)
        self._accepted: dict[str, float] = {}  # when each job was answered 202
        self._ended: dict[str, JobStatus] = {}  # as each was first seen ended
        self._workers: list[WorkerHandle] = []
        self._repository: Path | None = None  # of the code before, until it is replaced
        self._url = ""
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Start everything, let it storm, wait for rest, count."""
        with Valkey(self._folder / "valkey") as self._valkey, ExitStack() as self._started:
            self._bench = bench_on(self._valkey.url, self._folder)
            disk = self._started.enter_context(own_disk(self._bench.outputs))
            if not disk:
                self.outcome.left_out.append("a disk that is full or write-protected: no mount")
            if self._weather.update_from:
                self._repository = exported(self._weather.update_from, self._folder / "before")
            apis = self._started.enter_context(ExitStack())
            self._start_api(apis)
            self._workers += [self._start_worker() for _ in range(self._weather.workers)]
            self._wait_for_workers()
            self._faults = Faults(
                self._bench,
                self._valkey,
                self._workers,
                self._start_worker,
                self._dice,
                disk=disk,
            )
            submitting = threading.Thread(target=self._submit, daemon=True)
            submitting.start()
            if self._repository:
                self._update(apis)
            self._break_for_a_while()
            submitting.join()
            self._drain()
            self._count()
        return self.outcome

    def _update(self, apis: ExitStack) -> None:
        """Workers of the code before are killed, then all is replaced: workers, then the API."""
        for _ in range(3):
            self._faults.kill_worker()
            time.sleep(self._weather.every)
        self._repository = None
        self._faults.replace_workers()
        self._wait_for_workers()
        apis.close()
        self._start_api(self._started)

    def _break_for_a_while(self) -> None:
        weather, done = self._weather, Counter[str]()
        for name in plan([*self._faults.all], weather.faults, self._dice):
            self._faults.all[name]()
            done[name] += 1
            self._watch()
            last = max((until for _, until in self._faults.forgotten), default=0.0)
            time.sleep(max(weather.every, last + RESTED_SECONDS - time.monotonic()))
        self.outcome.faults = dict(sorted(done.items()))

    def _submit(self) -> None:
        """All jobs, over about two thirds of the storm; a refused one is sent again."""
        weather = self._weather
        pause = weather.faults * weather.every / weather.jobs
        dice = random.Random(weather.seed + 1)
        with httpx.Client(timeout=60, headers=KEY, trust_env=False) as client:
            for _ in range(weather.jobs):
                job = self._submit_one(client, dice)
                self._accepted[job] = time.monotonic()
                time.sleep(pause)
        self.outcome.submitted = len(self._accepted)

    def _submit_one(self, client: httpx.Client, dice: random.Random) -> str:
        """Submit a random job until it is accepted; returns its id."""
        body: dict[str, Any] = BODY | {
            "ddim_steps": dice.randint(1, 4),
            "n_iter": dice.randint(1, 2),
        }
        path = dice.choice(("/generate", "/generate", "/img2img"))
        if path == "/img2img":
            body["init_img"] = png(Image.new("RGB", (64, 64), "green"))
        # an API that leaves may have accepted what it could not answer any more
        once = {"Idempotency-Key": str(uuid.UUID(int=dice.getrandbits(128)))}
        while True:
            with suppress(httpx.TransportError):
                answer = client.post(self._url + path, json=body, headers=once)
                if answer.status_code == 202:
                    return answer.json()["task_id"]
                if answer.status_code not in (429, 503):
                    raise AssertionError(f"neither accepted nor refused: {answer.text}")
            time.sleep(0.2)

    def _watch(self) -> None:
        """Note what has ended, and whether an end has changed since it was first seen."""
        with suppress(RecordsUnavailable):
            for job in list(self._accepted):
                with suppress(NoSuchJob, JobExpired):
                    status = self._bench.status(job)
                    if not status.state.final:
                        continue
                    first = self._ended.setdefault(job, status)
                    if first != status and not self._may_be_forgotten(first):
                        self.outcome.changed += 1

    def _may_be_forgotten(self, status: JobStatus) -> bool:
        """Whether an end was recorded at a time that Redis may have forgotten."""
        ended = time.monotonic() - (time.time() - (status.finished or time.time()))
        return any(since <= ended <= until for since, until in self._faults.forgotten)

    def _drain(self) -> None:
        deadline = time.monotonic() + self._weather.drain
        while time.monotonic() < deadline:
            self._watch()
            forgotten = self._forgotten()
            if all(self._rests(job) for job in self._accepted.keys() - forgotten):
                return
            time.sleep(0.5)

    def _rests(self, job: str) -> bool:
        """Whether a job has ended, or is lost."""
        return not self._has_record(job) or self._bench.status(job).state.final

    def _wait_for_tidiness(self, wanted: set[str]) -> None:
        """What a worker left that was killed in its last step is another's to sweep."""
        deadline = time.monotonic() + self._weather.drain / 4
        while time.monotonic() < deadline and self._stored() - wanted:
            time.sleep(0.5)

    def _stored(self) -> set[str]:
        """All files but those of jobs that Redis has forgotten, or whose ends it has forgotten.

        Such a job runs again; if its init image was deleted at its first end, it fails, and the
        pictures of its first run stay.
        """
        ignored = self._forgotten() | {job for job in self._faults.repeated if self._failed(job)}
        return {
            name
            for name in self._bench.files(probes=True)
            if not any(job in name for job in ignored)
        }

    def _failed(self, job: str) -> bool:
        return self._has_record(job) and self._bench.status(job).state is JobState.FAILURE

    def _forgotten(self) -> set[str]:
        """Jobs that Redis has lost, and may lose: accepted while it may have forgotten."""
        return {
            job
            for job, accepted in self._accepted.items()
            if any(since <= accepted <= until for since, until in self._faults.forgotten)
            and not self._has_record(job)
        }

    def _has_record(self, job: str) -> bool:
        with suppress(NoSuchJob, JobExpired):
            return bool(self._bench.status(job))
        return False

    def _count(self) -> None:
        out, forgotten = self.outcome, self._forgotten()
        out.forgotten = len(forgotten)
        wanted: set[str] = set()
        ends: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        for job in self._accepted.keys() - forgotten:
            if not self._has_record(job):
                out.lost += 1
                continue
            status = self._bench.status(job)
            ends[status.state] += 1
            out.stuck += not status.state.final
            out.robbed += max(0, status.attempts - 1 - self._faults.lost_workers[job])
            if status.failure:
                failures[status.failure.code] += 1
                # three of its workers died, or its end was forgotten and its init image deleted
                explained = status.failure.code == "worker_died" or job in self._faults.repeated
                out.failed += not explained
            if status.result:
                wanted |= {picture.name for picture in status.result.images}
        out.by_state, out.failures = dict(sorted(ends.items())), dict(sorted(failures.items()))
        counts = count_jobs(self._bench.redis)
        out.leases = counts.running
        out.doubled = abs(sum(counts.ended.values()) - (len(self._accepted) - len(forgotten)))
        self._wait_for_tidiness(wanted)
        stored = self._stored()
        out.orphan_files = len(stored - wanted)
        out.missing_files = len(wanted - stored)

    def _start_worker(self) -> WorkerHandle:
        repository = self._repository or REPOSITORY
        return self._started.enter_context(
            started_in(repository, self._bench, self._valkey.url, APP, SETTINGS)
        )

    def _start_api(self, apis: ExitStack) -> None:
        name = "api-before" if self._repository else "api"
        api = running_api(self._bench, self._valkey.url, name, self._repository)
        self._url = apis.enter_context(api).url

    def _wait_for_workers(self) -> None:
        while len(self._bench.workers.alive()) < self._weather.workers:
            time.sleep(0.1)


@contextmanager
def own_disk(folder: Path) -> Iterator[bool]:
    """A disk of its own for a folder; False: this user may mount none."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = mount(f"size={DISK}", folder)
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def exported(revision: str, folder: Path) -> Path:
    """The code of a revision, in a folder of its own."""
    archive = subprocess.run(["git", "archive", revision], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    return folder


def main() -> int:
    """Let it storm, print the count; the exit code is 0 when nothing went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    for fact in dataclasses.fields(Weather):
        option = f"--{fact.name.replace('_', '-')}"
        parser.add_argument(option, type=type(fact.default), default=fact.default)
    weather = Weather(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        outcome = Storm(weather, Path(folder)).run()
    told = {**dataclasses.asdict(weather), **dataclasses.asdict(outcome)}
    print(json.dumps(told, indent=2))  # noqa: T201  the count is what it is run for
    return 1 if outcome.harm or outcome.submitted < weather.jobs else 0


if __name__ == "__main__":
    sys.exit(main())
