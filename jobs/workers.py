"""Who serves what: workers announce themselves in Redis, and everybody can read it."""

from dataclasses import dataclass
from typing import cast

from pydantic import BaseModel, ConfigDict
from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.names import JobType

_REMEMBERED_SECONDS = 86_400


class WorkerFacts(BaseModel):
    """One worker, as it announces itself.

    Attributes:
        worker_id: host, process and a random part; new at every start.
        types: the job types whose queues it listens to.
        models: the models it can serve, by canonical name.
        default_model: what `default` stands for there.
        device: where it computes, `cpu` or `cuda:N`.
        slots, busy: jobs it can run at once, and runs now.
        jobs: the ids of those it runs.
        loaded: the models it holds in memory.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    worker_id: str
    types: tuple[JobType, ...]
    models: tuple[str, ...]
    default_model: str
    device: str
    slots: int
    busy: int = 0
    jobs: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Served:
    """What is served now. When no worker is alive: what the last ones served (`alive` is False).

    Both tuples are empty when no worker has been heard of for a day.
    """

    types: tuple[JobType, ...]
    models: tuple[str, ...]
    alive: bool


class Workers:
    """The announcements. Every method raises RecordsUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def announce(self, facts: WorkerFacts, *, ttl_seconds: float) -> None:
        """Say that this worker is alive, for the next `ttl_seconds`."""
        text = facts.model_dump_json()
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=True)
            pipe.set(keys.WORKER + facts.worker_id, text, px=round(ttl_seconds * 1000))
            pipe.sadd(keys.WORKERS, facts.worker_id)
            pipe.set(keys.LAST_SERVED, text, ex=_REMEMBERED_SECONDS)
            pipe.execute()

    def withdraw(self, worker_id: str) -> None:
        """Say that this worker has left in good order."""
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=True)
            pipe.delete(keys.WORKER + worker_id)
            pipe.srem(keys.WORKERS, worker_id)
            pipe.execute()

    def alive(self) -> tuple[WorkerFacts, ...]:
        """The workers heard of lately, by id. Forgets those that have gone silent."""
        with reaching_redis():
            ids = sorted(cast(set[str], self._redis.smembers(keys.WORKERS)))
            if not ids:
                return ()
            texts = cast(
                list[str | None], self._redis.mget([keys.WORKER + worker for worker in ids])
            )
            silent = [worker for worker, text in zip(ids, texts, strict=True) if text is None]
            if silent:
                self._redis.srem(keys.WORKERS, *silent)
        return tuple(WorkerFacts.model_validate_json(text) for text in texts if text)

    def served(self) -> Served:
        """Which types and models are served, by all workers together."""
        alive = self.alive()
        if alive:
            return Served(
                types=tuple(sorted({served for worker in alive for served in worker.types})),
                models=tuple(sorted({model for worker in alive for model in worker.models})),
                alive=True,
            )
        with reaching_redis():
            text = cast(str | None, self._redis.get(keys.LAST_SERVED))
        if text is None:
            return Served(types=(), models=(), alive=False)
        last = WorkerFacts.model_validate_json(text)
        return Served(types=last.types, models=last.models, alive=False)
