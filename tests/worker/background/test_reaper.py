import math
import threading
from collections.abc import Callable

import pytest

from jobs import keys
from jobs.errors import NoSuchPicture, RecordsUnavailable
from jobs.names import JobType
from jobs.status import Failure, JobState
from tests.jobs.leases import lapse, reapers_run
from tests.worker.conftest import Bench
from worker.background.reaper import Reaper


class Sent(list[tuple[str, JobType]]):
    def __call__(self, job_id: str, job_type: JobType) -> bool:
        self.append((job_id, job_type))
        return True


def reaper(
    bench: Bench,
    sent: Callable[[str, JobType], bool],
    *,
    free: int = 1,
    draw: Callable[[int], int] = lambda _: 0,
) -> Reaper:
    """A reaper in a worker whose slot has been free for a long time."""
    found = Reaper(
        bench.claims,
        bench.file_cleanup,
        send=sent,
        draw=draw,
        free_slots=lambda: free,
        types=("standard", "optimized"),
        reap_seconds=1,
        resend_after=60,
    )
    found._free_since = 0 if free else math.inf
    return found


def expire_lease(bench: Bench, job_id: str) -> None:
    assert bench.claims.claim("standard", "dead worker")
    lapse(bench.redis, job_id)


def test_a_job_with_an_expired_lease_returns_to_the_queue(bench: Bench) -> None:
    job_id = bench.submit()
    expire_lease(bench, job_id)
    sent = Sent()
    for _ in range(2):
        reaper(bench, sent).tick()
    assert sent == [(job_id, "standard")]
    assert bench.status(job_id).state is JobState.PENDING


def test_the_input_of_a_job_that_ended_here_is_deleted(bench: Bench) -> None:
    job_id = bench.submit("img2img")
    for _ in range(3):
        expire_lease(bench, job_id)
        reaper(bench, Sent()).tick()
    assert bench.status(job_id).state is JobState.FAILURE
    with pytest.raises(NoSuchPicture):
        bench.store.read_input(job_id, "init")


def test_a_lost_message_is_sent_again_once_a_slot_is_free(bench: Bench) -> None:
    job_id = bench.submit()
    sent = Sent()
    reaper(bench, sent).tick()
    assert sent == []
    bench.redis.hset(keys.job(job_id), "waiting", 0)
    reaper(bench, sent, free=0).tick()
    just_freed = reaper(bench, sent)
    just_freed._free_since = math.inf
    just_freed.tick()
    assert sent == []
    reaper(bench, sent).tick()
    reaper(bench, sent).tick()
    assert sent == [("", "standard")]


def test_messages_are_sent_for_the_jobs_that_are_not_executed_here(bench: Bench) -> None:
    for _ in range(5):
        bench.redis.hset(keys.job(bench.submit()), "waiting", 0)
    sent = Sent()
    reaper(bench, sent, draw=lambda waiting: min(waiting, 2)).tick()
    assert sent == 3 * [("", "standard")]


def test_a_broker_that_refuses_one_message_is_sent_no_more(bench: Bench) -> None:
    for _ in range(5):
        bench.redis.hset(keys.job(bench.submit()), "waiting", 0)
    sent = Sent()
    reaper(bench, lambda *message: not sent(*message)).tick()
    assert sent == [("", "standard")]


def test_after_redis_was_away_the_others_may_renew_first(bench: Bench) -> None:
    job_id = bench.submit()
    expire_lease(bench, job_id)
    bench.redis.hincrbyfloat(keys.REAPER, "last", -60)
    sent = Sent()
    for _ in range(2):
        reaper(bench, sent).tick()
    assert sent == []
    reapers_run(bench.redis)
    reaper(bench, sent).tick()
    assert sent == [(job_id, "standard")]


def test_a_postponed_job_is_woken_when_its_pause_is_over(bench: Bench) -> None:
    job_id = bench.submit()
    claim = bench.claims.claim("standard", "worker")
    assert claim
    bench.claims.postpone(claim, Failure(code="storage_full", message="full"))
    sent = Sent()
    reaper(bench, sent).tick()
    assert sent == []
    bench.redis.zadd(keys.postponed("standard"), {job_id: 0})
    for _ in range(2):
        reaper(bench, sent).tick()
    assert sent == [(job_id, "standard")]
    assert bench.status(job_id).queue_position == 1


def test_a_periodic_thread_survives_redis_and_its_own_exceptions(bench: Bench) -> None:
    class FailingReaper(Reaper):
        def __init__(self) -> None:
            super().__init__(
                bench.claims,
                bench.file_cleanup,
                send=Sent(),
                draw=lambda _: 0,
                free_slots=lambda: 1,
                types=(),
                reap_seconds=0.001,
                resend_after=1,
            )
            self.failures: list[Exception] = [KeyError("x"), RecordsUnavailable("dead worker")]
            self.ran = threading.Event()

        def tick(self) -> None:
            if self.failures:
                raise self.failures.pop()
            self.ran.set()

    thread = FailingReaper()
    thread.start()
    assert thread.ran.wait(120)
    thread.stop()
