"""The storm: jobs through the real API while workers and Redis are killed, then the count.

    python -m tests.faults.storm --jobs 1000 --seed 7

Whatever is killed is started again at once. When the killing is over, everything must come to
rest: every job that was answered 202 has ended once and for all, with exactly its pictures.
"""

import argparse
import dataclasses
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from jobs.counts import count_jobs
from jobs.errors import NoSuchJob, RecordsUnavailable
from jobs.status import JobStatus
from tests.api.serving import RunningApi
from tests.faults.api import BODY, client_of, running_api
from tests.faults.valkey import Valkey
from tests.worker.conftest import bench_on, png
from tests.worker.processes import WorkerHandle, started

UNSYNCED_SECONDS = 2.0
"""For so long Redis may defer a write behind a slow disk, and lose it when it is killed."""


@dataclass(frozen=True)
class Weather:
    """The settings of a storm.

    Attributes:
        jobs: how many are submitted.
        seed: of all random choices.
        workers: processes, each with one slot.
        seconds: how long processes are killed.
        every: seconds between two kills of a worker.
        drain: seconds within which every job must then have ended.
    """

    jobs: int = 300
    seed: int = 1
    workers: int = 3
    seconds: float = 60
    every: float = 2
    drain: float = 600


@dataclass
class Outcome:
    """What became of the jobs. All but the first four must be 0."""

    submitted: int = 0
    kills: int = 0
    redis_kills: int = 0
    by_state: dict[str, int] = field(default_factory=dict[str, int])
    lost: int = 0
    stuck: int = 0
    doubled: int = 0
    changed: int = 0
    orphan_files: int = 0
    missing_files: int = 0
    leases: int = 0

    @property
    def harm(self) -> int:
        """How much went wrong."""
        counted = ("lost", "stuck", "doubled", "changed", "orphan_files", "missing_files", "leases")
        return sum(getattr(self, name) for name in counted)


class Storm:
    """One storm over one service in a folder."""

    def __init__(self, weather: Weather, folder: Path) -> None:
        self._weather = weather
        self._folder = folder
        self._dice = random.Random(weather.seed)
        self._accepted: dict[str, float] = {}  # when each job was answered 202
        self._ended: dict[str, JobStatus] = {}  # as each was first seen ended
        self._redis_killed: list[float] = []
        self._workers: list[WorkerHandle] = []
        self._started = ExitStack()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Start everything, let it storm, wait for rest, count."""
        with Valkey(self._folder / "valkey") as self._valkey:
            self._bench = bench_on(self._valkey.url, self._folder)
            with running_api(self._bench, self._valkey.url) as api, self._started:
                for _ in range(self._weather.workers):
                    self._workers.append(self._start_worker())
                self._wait_for_workers()
                submitting = threading.Thread(target=self._submit, args=[api])
                submitting.start()
                self._kill_for_a_while()
                submitting.join()
                self._drain()
                self._count()
        return self.outcome

    def _kill_for_a_while(self) -> None:
        weather = self._weather
        began = time.monotonic()
        half = weather.seconds / 2
        while (passed := time.monotonic() - began) < weather.seconds:
            if passed > half and not self._redis_killed:
                self._redis_killed.append(time.monotonic())
                self._valkey.kill()
                self._valkey.start()
                self.outcome.redis_kills += 1
            number = self._dice.randrange(weather.workers)
            self._workers[number].kill()
            self.outcome.kills += 1
            self._workers[number] = self._start_worker()
            self._watch()
            time.sleep(max(0.0, weather.every - (time.monotonic() - began - passed)))

    def _submit(self, api: RunningApi) -> None:
        """All jobs, evenly over two thirds of the storm; a refused one is sent again."""
        weather = self._weather
        pause = weather.seconds * 2 / 3 / weather.jobs
        dice = random.Random(weather.seed + 1)
        with client_of(api) as client:
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
        while True:
            answer = client.post(path, json=body)
            if answer.status_code == 202:
                return answer.json()["task_id"]
            if answer.status_code != 503:
                raise AssertionError(f"neither accepted nor refused: {answer.text}")
            time.sleep(0.2)

    def _watch(self) -> None:
        """Note what has ended, and whether an end has changed since it was first seen."""
        with suppress(RecordsUnavailable):
            for job in list(self._accepted):
                with suppress(NoSuchJob):
                    status = self._bench.status(job)
                    if not status.state.final:
                        continue
                    first = self._ended.setdefault(job, status)
                    if first != status and not self._unsynced(first):
                        self.outcome.changed += 1

    def _unsynced(self, status: JobStatus) -> bool:
        """Whether Redis was killed so soon after the end that it may have forgotten it."""
        now, wall = time.monotonic(), time.time()
        ended = now - (wall - (status.finished or wall))
        return any(0 <= killed - ended < UNSYNCED_SECONDS for killed in self._redis_killed)

    def _drain(self) -> None:
        deadline = time.monotonic() + self._weather.drain
        while time.monotonic() < deadline:
            self._watch()
            if self._ended.keys() >= self._accepted.keys() - self._forgotten():
                return
            time.sleep(0.5)

    def _wait_for_tidiness(self, wanted: set[str]) -> None:
        """What a worker left that was killed in its last step is another's to sweep."""
        deadline = time.monotonic() + self._weather.drain
        while time.monotonic() < deadline and set(self._bench.files()) - wanted:
            time.sleep(0.5)

    def _forgotten(self) -> set[str]:
        """Jobs that Redis has lost, and may lose: accepted in the seconds before it was killed."""
        return {
            job
            for job, accepted in self._accepted.items()
            if any(0 <= killed - accepted < UNSYNCED_SECONDS for killed in self._redis_killed)
            and not self._has_record(job)
        }

    def _has_record(self, job: str) -> bool:
        with suppress(NoSuchJob):
            return bool(self._bench.status(job))
        return False

    def _count(self) -> None:
        out, forgotten = self.outcome, self._forgotten()
        wanted: set[str] = set()
        ends: Counter[str] = Counter()
        for job in self._accepted.keys() - forgotten:
            if not self._has_record(job):
                out.lost += 1
                continue
            status = self._bench.status(job)
            ends[status.state] += 1
            out.stuck += not status.state.final
            if status.result:
                wanted |= {picture.name for picture in status.result.images}
        out.by_state = dict(sorted(ends.items()))
        counts = count_jobs(self._bench.redis)
        out.leases = counts.running
        out.doubled = abs(sum(counts.ended.values()) - (len(self._accepted) - len(forgotten)))
        self._wait_for_tidiness(wanted)
        stored = set(self._bench.files())
        out.orphan_files = len(stored - wanted)
        out.missing_files = len(wanted - stored)

    def _start_worker(self) -> WorkerHandle:
        return self._started.enter_context(
            started(self._bench, self._valkey.url, SWEEP_SECONDS="1", ORPHAN_GRACE="5")
        )

    def _wait_for_workers(self) -> None:
        while len(self._bench.workers.alive()) < self._weather.workers:
            time.sleep(0.1)


def main() -> int:
    """Let it storm, print the count; the exit code is 0 when nothing went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    for fact in dataclasses.fields(Weather):
        kind = type(fact.default)
        parser.add_argument(f"--{fact.name}", type=kind, default=fact.default)
    weather = Weather(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        outcome = Storm(weather, Path(folder)).run()
    told = {**dataclasses.asdict(weather), **dataclasses.asdict(outcome)}
    print(json.dumps(told, indent=2))  # noqa: T201  the count is what it is run for
    return 1 if outcome.harm or outcome.submitted < weather.jobs else 0


if __name__ == "__main__":
    sys.exit(main())
