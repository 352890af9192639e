import pytest
from redis import Redis

from jobs import keys
from jobs.names import JobType
from jobs.worker_facts import WorkerFacts
from jobs.workers import Workers


@pytest.fixture
def workers(redis: Redis) -> Workers:
    return Workers(redis)


def facts(worker_id: str, *types: JobType, models: tuple[str, ...] = ("tiny",)) -> WorkerFacts:
    return WorkerFacts(
        worker_id=worker_id,
        types=types,
        models=models,
        default_model="tiny",
        device="cpu",
        slots=2,
        busy=1,
        jobs=("some-job",),
        loaded=("tiny",),
    )


def test_before_any_worker_nothing_is_served(workers: Workers) -> None:
    served = workers.served()
    assert (served.types, served.models, served.alive) == ((), (), False)


def test_what_is_served_is_what_all_workers_serve(workers: Workers) -> None:
    workers.announce(facts("a", "standard"), ttl_seconds=60)
    workers.announce(facts("b", "optimized", models=("sd15", "tiny")), ttl_seconds=60)
    served = workers.served()
    assert (served.types, served.models) == (("optimized", "standard"), ("sd15", "tiny"))
    assert served.alive
    assert [worker.worker_id for worker in workers.alive()] == ["a", "b"]


def test_a_worker_that_left_serves_nothing(workers: Workers) -> None:
    workers.announce(facts("a", "standard"), ttl_seconds=60)
    workers.announce(facts("b", "optimized"), ttl_seconds=60)
    workers.withdraw("a")
    assert workers.served().types == ("optimized",)


def test_silence_is_noticed_but_what_was_served_is_remembered(
    workers: Workers, redis: Redis
) -> None:
    workers.announce(facts("a", "standard"), ttl_seconds=60)
    redis.delete(keys.WORKER + "a")
    assert workers.alive() == ()
    assert redis.smembers(keys.WORKERS) == set()
    served = workers.served()
    assert (served.types, served.alive) == (("standard",), False)
