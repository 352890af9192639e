"""Who serves what: workers announce themselves in Redis, and everybody can read it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from pydantic import BaseModel, ConfigDict
from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.limits import NATIVE_SIZE
from jobs.names import JOB_TYPES, JobType

_REMEMBERED_SECONDS = 86_400
_MISSED_SECONDS = 3600

# KEYS all that have announced themselves  ARGV what their keys begin with
# -> announcement, milliseconds left, ...
_HEARD = """#!lua flags=allow-oom
local found = {}
for _, worker in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local text = redis.call('GET', ARGV[1] .. worker)
  if text then
    found[#found + 1] = text
    found[#found + 1] = redis.call('PTTL', ARGV[1] .. worker)
  else
    redis.call('SREM', KEYS[1], worker)
  end
end
return found
"""


class ModelFacts(BaseModel):
    """A model that is installed on a worker.

    Attributes:
        kind: what it is, such as `sd1` or `sd2-v`; empty while that is not known.
        family: the id of its family, such as `sd1` or `sd2`; empty while that is not known.
        native_size: the side in pixels of the pictures it was trained on.
        bytes: of its weights' files.
        hash: the first ten hex digits of the weights' SHA-256; empty while that is not known.
        resident: the worker holds it in memory.
        problem: why it cannot be used; empty if nothing is known against it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    kind: str = ""
    family: str = ""
    native_size: int = NATIVE_SIZE
    bytes: int = 0
    hash: str = ""
    resident: bool = False
    problem: str = ""


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
        memory_bytes: what the process has in memory; None where it cannot be told.
        gpu_memory_bytes: what it has taken of its GPU's memory; None without one.
        silent_seconds: after how long without an announcement it counts as gone.
        model_facts: what is known of each of `models`.
        loras, embeddings: what prompts may name there.
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
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    silent_seconds: float = 0.0
    model_facts: tuple[ModelFacts, ...] = ()
    loras: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Heard:
    """A worker, and how many seconds ago it was heard of, by Redis' clock."""

    facts: WorkerFacts
    seconds_ago: float


@dataclass(frozen=True)
class Served:
    """What is served now. When no worker is alive: what the last ones served (`alive` is False).

    All tuples are empty when no worker has been heard of for a day.

    Attributes:
        models, loras, embeddings: what requests may name.
        model_facts: of each model, by name; resident if any worker holds it in memory.
    """

    types: tuple[JobType, ...]
    models: tuple[str, ...]
    alive: bool
    loras: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    model_facts: tuple[ModelFacts, ...] = ()

    @property
    def native_sizes(self) -> dict[str, int]:
        """For each model's name, the side in pixels of the pictures that it was trained on."""
        return {facts.name: facts.native_size for facts in self.model_facts}


class Workers:
    """The announcements. Every method raises RecordsUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._heard = redis.register_script(_HEARD)

    def announce(self, facts: WorkerFacts, *, ttl_seconds: float) -> None:
        """Say that this worker is alive, for the next `ttl_seconds`."""
        text = facts.model_copy(update={"silent_seconds": ttl_seconds}).model_dump_json()
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=True)
            pipe.set(keys.WORKER + facts.worker_id, text, px=round(ttl_seconds * 1000))
            pipe.sadd(keys.WORKERS, facts.worker_id)
            pipe.set(keys.LAST_SERVED, text, ex=_REMEMBERED_SECONDS)
            for job_type in facts.types:
                pipe.set(keys.expected(job_type), 1, ex=_MISSED_SECONDS)
            pipe.execute()

    def withdraw(self, worker_id: str) -> None:
        """Say that this worker has left in good order.

        What it served is expected no more; the others expect theirs anew at their next word.
        """
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=True)
            pipe.delete(keys.WORKER + worker_id, *map(keys.expected, JOB_TYPES))
            pipe.srem(keys.WORKERS, worker_id)
            pipe.execute()

    def alive(self) -> tuple[WorkerFacts, ...]:
        """The workers heard of lately, by id. Forgets those that have gone silent."""
        return tuple(heard.facts for heard in self.heard())

    def heard(self) -> tuple[Heard, ...]:
        """The workers heard of lately, by id, each with the age of its last word."""
        with reaching_redis():
            found = cast(list[str | int], self._heard(keys=[keys.WORKERS], args=[keys.WORKER]))
        heard = (
            _heard(str(text), int(left) / 1000)
            for text, left in zip(found[::2], found[1::2], strict=True)
        )
        return tuple(sorted(heard, key=lambda one: one.facts.worker_id))

    def missed(self) -> tuple[JobType, ...]:
        """The types that nobody serves, though somebody did who vanished without signing off.

        For an hour: who took its worker away for good, the hard way, need not be told for ever.
        """
        served = {job_type for worker in self.alive() for job_type in worker.types}
        with reaching_redis():
            expected = cast(list[str | None], self._redis.mget(map(keys.expected, JOB_TYPES)))
        return tuple(
            job_type
            for job_type, word in zip(JOB_TYPES, expected, strict=True)
            if word and job_type not in served
        )

    def served(self) -> Served:
        """Which types and models are served, by all workers together."""
        alive = self.alive()
        if alive:
            return _together(alive, alive=True)
        with reaching_redis():
            text = cast(str | None, self._redis.get(keys.LAST_SERVED))
        if text is None:
            return Served(types=(), models=(), alive=False)
        last = _facts(text)
        nothing_held = tuple(
            facts.model_copy(update={"resident": False}) for facts in last.model_facts
        )
        return _together((last.model_copy(update={"model_facts": nothing_held}),), alive=False)


def _together(workers: tuple[WorkerFacts, ...], *, alive: bool) -> Served:
    """What some workers serve, each thing once."""
    facts: dict[str, ModelFacts] = {}
    for told in (told for worker in workers for told in worker.model_facts):
        before = facts.get(told.name, told)
        # of two that tell of the same model, who knows its hash knows it best
        best = before if before.hash or not told.hash else told
        resident = before.resident or told.resident
        facts[told.name] = best.model_copy(update={"resident": resident})
    return Served(
        types=tuple(sorted({served for worker in workers for served in worker.types})),
        models=tuple(sorted({model for worker in workers for model in worker.models})),
        alive=alive,
        loras=tuple(sorted({name for worker in workers for name in worker.loras})),
        embeddings=tuple(sorted({name for worker in workers for name in worker.embeddings})),
        model_facts=tuple(facts[name] for name in sorted(facts)),
    )


def _heard(text: str, left_seconds: float) -> Heard:
    facts = _facts(text)
    return Heard(facts, max(0.0, facts.silent_seconds - left_seconds))


@lru_cache(maxsize=256)
def _facts(text: str) -> WorkerFacts:
    """What an announcement says. Every request asks, and few say anything new."""
    return WorkerFacts.model_validate_json(text)
