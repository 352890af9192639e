"""How the cost of single steps grows with the keys that have waiting jobs, and with stored files.

Each step is measured in turn on two private Valkeys: one with many keys, one with FEW_KEYS. The
ratio is 1 if the number of keys does not matter, and FEW_KEYS / keys if the cost is linear in it.
"""

import logging
import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import structlog
from redis import Redis

from benchmarks.fixtures import running_valkey
from benchmarks.harness import BenchmarkOptions, Figure, figure, seconds
from jobs import keys
from jobs.connection import connect
from jobs.pictures.store import PictureStore
from jobs.records.claim import Claim
from jobs.records.claims import Claims
from jobs.records.expiry import Expiry, Retention
from jobs.records.file_cleanup import FileCleanup
from jobs.records.new_job import NewJob, new_job_id
from jobs.records.overview import Overview
from jobs.records.record import ANY_SUBMITTER, MAX_RECENT, JobRecords
from jobs.status import Result
from jobs.validation.request import parse_request
from worker.background.sweeper import Sweeper

FEW_KEYS, MANY_KEYS = 100, (1000, 10_000)
JOBS_PER_KEY = 10
STREAMS = 64
FEW_PICTURES, MANY_PICTURES = 1000, 10_000
_PER_ROUND = 20

Step = Callable[[], object]


def measure(options: BenchmarkOptions) -> Iterator[Figure]:
    """The steps on waiting jobs with 1,000 and with 10,000 keys, then the expiry of pictures."""
    with ExitStack() as stack:
        few, many = (
            Waiting(connect(stack.enter_context(running_valkey(options.folder / name)), timeout=60))
            for name in ("few", "many")
        )
        few.grow_to(FEW_KEYS)
        for number in MANY_KEYS:
            many.grow_to(number)
            for name in few.steps():
                of_few, of_many = [], []
                for _ in range(options.rounds):
                    of_few.append(few.milliseconds(name))
                    of_many.append(many.milliseconds(name))
                yield figure(f"{name}, {number} keys; {FEW_KEYS}", of_many, of_few, "ms")
    with running_valkey(options.folder / "stored") as url:
        stored = Stored(connect(url, timeout=60), options.folder / "outputs")
        of_few, of_many = [], []
        for _ in range(options.rounds):
            of_few.append(1000 * stored.expiry_seconds(FEW_PICTURES) / FEW_PICTURES)
            of_many.append(1000 * stored.expiry_seconds(MANY_PICTURES) / MANY_PICTURES)
        name = f"expiry of a picture, of {MANY_PICTURES}; of {FEW_PICTURES}"
        yield figure(name, of_many, of_few, "ms")


class Jobs:
    """Jobs in a Valkey, opened and claimed without a service."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.records = JobRecords(redis, result_ttl_seconds=86_400)
        self.claims = Claims(redis, lease_seconds=600, max_attempts=3, result_ttl_seconds=86_400)

    def open(self, submitter: str) -> str:
        """Open a job; returns its id."""
        body = {"prompt": "a red circle", "type": "standard"}
        request = parse_request("txt2img", body).settled(model="tiny", seed=1)
        job = NewJob(job_id=new_job_id(), request=request, model="tiny", submitter=submitter)
        return self.records.open(job).job_id

    def claim(self) -> Claim:
        """Claim the next job."""
        claim = self.claims.claim("standard", "bench")
        assert claim
        return claim

    def finish(self, claim: Claim) -> None:
        """End a job with SUCCESS."""
        self.claims.finish(
            claim,
            Result(
                images=(),
                format="png",
                model="tiny",
                model_hash="",
                sampler="ddim",
                steps=1,
                executed_steps=1,
                prompt={},
                timings={},
            ),
        )


class Waiting:
    """A Valkey with waiting jobs of many keys, and MAX_RECENT finished ones."""

    def __init__(self, redis: Redis) -> None:
        self._jobs = Jobs(redis)
        self._overview = Overview(redis, self._jobs.records)
        self._random = random.Random(1)
        self._waiting: list[str] = []
        self._keys = 0
        self._claimed: list[Claim] = []
        for _ in range(MAX_RECENT):
            self._jobs.open("finished")
            self._jobs.finish(self._jobs.claim())

    def grow_to(self, number: int) -> None:
        """Add keys, each with its jobs."""
        for _ in range(JOBS_PER_KEY):
            self._waiting += [self._jobs.open(f"key-{key}") for key in range(self._keys, number)]
        self._keys = number

    def steps(self) -> dict[str, Step]:
        """What is measured."""
        records, pick = self._jobs.records, self._random
        return {
            "claim": lambda: self._claimed.append(self._jobs.claim()),
            "status of a waiting job": lambda: records.get(pick.choice(self._waiting)),
            f"status of {STREAMS} streams": lambda: records.snapshots(
                dict.fromkeys(pick.sample(self._waiting, STREAMS), 0)
            ),
            "/recent with facts": lambda: (
                self._overview.under_way(of=ANY_SUBMITTER),
                self._overview.finished(of=ANY_SUBMITTER, of_all=10),
            ),
            "open": lambda: self._jobs.open(f"key-{pick.randrange(self._keys)}"),
            "cancel": lambda: records.cancel(self._waiting.pop(pick.randrange(len(self._waiting)))),
        }

    def milliseconds(self, name: str) -> float:
        """The median time of a step. What was claimed waits again afterwards."""
        step = self.steps()[name]
        taken = statistics.median(seconds(step) for _ in range(_PER_ROUND))
        for claim in self._claimed:
            self._jobs.claims.hand_back(claim)
        self._claimed.clear()
        return 1000 * taken


class Stored:
    """A Valkey and a folder with the pictures of ended jobs."""

    def __init__(self, redis: Redis, outputs: Path) -> None:
        self._jobs = Jobs(redis)
        self._store = PictureStore(str(outputs))
        expiry = Expiry(redis, Retention(transient_seconds=600, saved_seconds=600))
        cleanup = FileCleanup(redis, self._store)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        self._sweeper = Sweeper(redis, expiry, cleanup, seconds=60, orphan_grace=600)

    def expiry_seconds(self, number: int) -> float:
        """How long a sweep takes in which so many pictures expire."""
        redis = self._jobs.redis
        for _ in range(number):
            self._jobs.open("bench")
            claim = self._jobs.claim()
            with self._store.staging(claim.job_id, "cats", claim.token) as staging:
                staging.put(0, b"picture", "png")
                self._jobs.claims.publishing(claim, staging.names, size=7, saved=True)
                staging.publish()
            self._jobs.finish(claim)
        redis.delete(keys.DELETIONS)  # each worker deletes what its jobs leave
        stored = cast(list[str], redis.zrange(keys.PICTURES + keys.SAVED, 0, -1))
        redis.zadd(keys.PICTURES + keys.SAVED, dict.fromkeys(stored, 0))
        taken = seconds(self._sweeper.tick)
        assert not redis.exists(keys.PICTURES + keys.SAVED, keys.DELETIONS)
        return taken
