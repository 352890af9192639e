import math
import threading
import time

import pytest

from jobs import keys
from jobs.errors import NoSuchPicture, RecordsUnavailable
from jobs.names import JobType
from jobs.status import JobState
from tests.worker.conftest import Bench
from worker.reaper import Reaper


class Woken(list[tuple[str, JobType]]):
    def __call__(self, job_id: str, job_type: JobType) -> None:
        self.append((job_id, job_type))


def reaper(bench: Bench, woken: Woken, *, free: int = 1, grace: float = 0) -> Reaper:
    """A reaper in a worker whose slot has been free for long."""
    found = Reaper(
        bench.claims,
        bench.remains,
        wake=woken,
        free_slots=lambda: free,
        types=("standard", "optimized"),
        reap_seconds=1,
        wake_seconds=60,
        grace_seconds=grace,
    )
    found._free_since = 0 if free else math.inf
    return found


def vanish(bench: Bench, job_id: str) -> None:
    assert bench.claims.claim("standard", "gone")
    bench.redis.zadd(keys.LEASES, {job_id: 0})


def test_the_job_of_a_vanished_worker_is_sent_again(bench: Bench) -> None:
    job_id = bench.submit()
    vanish(bench, job_id)
    woken = Woken()
    for _ in range(2):
        reaper(bench, woken).tick()
    assert woken == [(job_id, "standard")]
    assert bench.status(job_id).state is JobState.PENDING


def test_the_input_of_a_job_that_ended_here_is_deleted(bench: Bench) -> None:
    job_id = bench.submit("img2img")
    for _ in range(3):
        vanish(bench, job_id)
        reaper(bench, Woken()).tick()
    assert bench.status(job_id).state is JobState.FAILURE
    with pytest.raises(NoSuchPicture):
        bench.store.read_init_image(job_id)


def test_a_job_whose_message_was_lost_is_sent_again_once_a_slot_is_free(bench: Bench) -> None:
    job_id = bench.submit()
    woken = Woken()
    reaper(bench, woken).tick()
    assert woken == []
    bench.redis.hset(keys.job(job_id), "waiting", 0)
    reaper(bench, woken, free=0).tick()
    just_started = reaper(bench, woken)
    just_started._free_since = math.inf
    just_started.tick()
    assert woken == []
    reaper(bench, woken).tick()
    reaper(bench, woken).tick()
    assert woken == [("", "standard")]


def test_after_redis_was_away_the_others_may_renew_first(bench: Bench) -> None:
    job_id = bench.submit()
    vanish(bench, job_id)
    woken = Woken()
    careful = reaper(bench, woken, grace=60)
    careful._last_failure = time.monotonic()
    careful.tick()
    assert woken == []
    careful._last_failure -= 61
    careful.tick()
    assert woken == [(job_id, "standard")]


def test_a_ticker_outlives_redis_and_its_own_faults(bench: Bench) -> None:
    class Stumbling(Reaper):
        def __init__(self) -> None:
            super().__init__(
                bench.claims,
                bench.remains,
                wake=Woken(),
                free_slots=lambda: 1,
                types=(),
                reap_seconds=0.001,
                wake_seconds=1,
                grace_seconds=0,
            )
            self.faults: list[Exception] = [KeyError("x"), RecordsUnavailable("gone")]
            self.ran = threading.Event()

        def tick(self) -> None:
            if self.faults:
                raise self.faults.pop()
            self.ran.set()

    ticker = Stumbling()
    ticker.start()
    assert ticker.ran.wait(120)
    ticker.stop()
