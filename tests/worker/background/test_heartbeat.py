"""A worker announces itself, and hears that models are to be dropped."""

from jobs.connection import connect
from jobs.worker_facts import WorkerFacts
from jobs.workers import Workers
from worker.background.heartbeat import Heartbeat

FACTS = WorkerFacts(
    worker_id="a",
    types=("standard",),
    models=("tiny",),
    default_model="tiny",
    device="cpu",
    slots=1,
    loaded=("tiny",),
)


def test_each_request_to_unload_is_heard_once_and_announced_at_once(redis_url: str) -> None:
    redis = connect(redis_url)
    workers = Workers(redis)
    workers.unload_models()  # before the worker has started
    unloaded: list[int] = []

    def facts() -> WorkerFacts:
        return FACTS.model_copy(update={"loaded": () if unloaded else ("tiny",)})

    heartbeat = Heartbeat(workers, facts, lambda: unloaded.append(1), seconds=60)
    heartbeat.tick()
    heartbeat.tick()
    assert (unloaded, workers.alive()[0].loaded) == ([], ("tiny",))
    workers.unload_models()
    workers.unload_models()
    heartbeat.tick()
    assert (unloaded, workers.alive()[0].loaded) == ([1], ())
    heartbeat.tick()
    assert unloaded == [1]
    redis.flushdb()
    heartbeat.tick()
    workers.unload_models()
    heartbeat.tick()
    assert unloaded == [1, 1]
