"""What workers serve: each worker announces itself in Redis, where every process can read it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from pydantic import BaseModel, ConfigDict
from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.limits import NATIVE_SIZE
from jobs.model_defaults import LoraFacts, ModelDefaults
from jobs.names import JOB_TYPES, JobType
from stable_diffusion.unet_kind import UNetKind

_LAST_SERVED_TTL = 86_400
_EXPECTED_TTL = 3600

# Even while Redis' memory is full: the workers live, and execute what waits.
#
# KEYS the announcement, expected types ...  ARGV worker id, announcement, milliseconds
# -> how many times the workers were asked to unload models
_ANNOUNCE = (
    "#!lua flags=allow-oom\n"
    + keys.LUA
    + f"""
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('SADD', WORKERS, ARGV[1])
redis.call('SET', LAST_SERVED, ARGV[2], 'EX', {_LAST_SERVED_TTL})
for number = 2, #KEYS do redis.call('SET', KEYS[number], 1, 'EX', {_EXPECTED_TTL}) end
return tonumber(redis.call('GET', UNLOADINGS) or 0)
"""
)

# -> announcement, milliseconds until it expires, ...
_ANNOUNCED = (
    "#!lua flags=allow-oom\n"
    + keys.LUA
    + """
local found = {}
for _, worker in ipairs(redis.call('SMEMBERS', WORKERS)) do
  local text = redis.call('GET', WORKER .. worker)
  if text then
    found[#found + 1] = text
    found[#found + 1] = redis.call('PTTL', WORKER .. worker)
  else
    redis.call('SREM', WORKERS, worker)
  end
end
return found
"""
)


class ModelFacts(BaseModel):
    """A model that is installed on a worker.

    Attributes:
        kind: family and prediction, such as `sd1` or `sd2-v`; empty while it is not known.
        family: the id of its family, such as `sd1` or `sd2`; empty while it is not known.
        native_size: the side in pixels of the pictures it was trained on.
        cost: the work of a pixel and a step, that of Stable Diffusion 1 being 1.
        unet: what its UNet samples; None while it is not known.
        bytes: the size of its weights' files.
        hash: the first ten hex digits of the weights' SHA-256; empty while it is not known.
        resident: whether the worker has it in memory.
        problem: why it cannot be used; empty if no problem is known.
        defaults: what it wants for what a request leaves out; None: nothing is known.
        defaults_problem: why the file with its defaults was not used; empty: nothing is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    kind: str = ""
    family: str = ""
    native_size: int = NATIVE_SIZE
    cost: float = 1.0
    unet: UNetKind | None = None
    bytes: int = 0
    hash: str = ""
    resident: bool = False
    problem: str = ""
    defaults: ModelDefaults | None = None
    defaults_problem: str = ""


class WorkerFacts(BaseModel):
    """One worker, as it announces itself.

    Attributes:
        worker_id: host, process and a random part; new at every start.
        types: the job types that it serves.
        models: the models it can serve, by canonical name.
        default_model: the model that `default` means there.
        device: where it computes, `cpu` or `cuda:N`.
        slots, busy: how many jobs it can run at once, and how many it runs.
        jobs: the ids of the jobs that it runs.
        oldest_progress_seconds: the longest time that one of them has not progressed.
        loaded: the models that it has in memory.
        memory_bytes: resident memory of the process; None if it is not known.
        gpu_memory_bytes: memory that it has allocated on its GPU; None without one.
        problem: why it claims no jobs now; empty: it does.
        silent_seconds: for how long after an announcement the worker counts as alive.
        model_facts: what is known of each of `models`.
        loras, embeddings: the names that prompts may use.
        lora_aliases, embedding_aliases: other names of the same LoRAs and embeddings.
        bundled_embeddings: the names of embeddings in the files of LoRAs.
        vaes: the names that the field `vae` may have.
        lora_facts: of those of `loras` of which more is known than the name.
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
    oldest_progress_seconds: float = 0.0
    loaded: tuple[str, ...] = ()
    memory_bytes: int | None = None
    gpu_memory_bytes: int | None = None
    problem: str = ""
    silent_seconds: float = 0.0
    model_facts: tuple[ModelFacts, ...] = ()
    loras: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    lora_aliases: tuple[str, ...] = ()
    embedding_aliases: tuple[str, ...] = ()
    bundled_embeddings: tuple[str, ...] = ()
    vaes: tuple[str, ...] = ()
    lora_facts: tuple[LoraFacts, ...] = ()


@dataclass(frozen=True)
class AnnouncedWorker:
    """A worker, and the age of its latest announcement in seconds, by Redis' clock."""

    facts: WorkerFacts
    seconds_ago: float


@dataclass(frozen=True)
class Served:
    """What is served now or, when no worker is alive (`alive` is False), what one served last.

    All tuples are empty when no worker has announced itself for a day.

    Attributes:
        models, loras, embeddings, vaes: the names that requests may use.
        lora_aliases, embedding_aliases, bundled_embeddings: see `WorkerFacts`.
        model_facts: of each model, by name; resident if any worker has it in memory. Of workers
            that announce different defaults of a model or a LoRA, the first by its id counts.
        lora_facts: of those of `loras` of which more is known than the name.
    """

    types: tuple[JobType, ...]
    models: tuple[str, ...]
    alive: bool
    loras: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()
    vaes: tuple[str, ...] = ()
    model_facts: tuple[ModelFacts, ...] = ()
    lora_aliases: tuple[str, ...] = ()
    embedding_aliases: tuple[str, ...] = ()
    bundled_embeddings: tuple[str, ...] = ()
    lora_facts: tuple[LoraFacts, ...] = ()

    @property
    def native_sizes(self) -> dict[str, int]:
        """For each model's name, the side in pixels of the pictures that it was trained on."""
        return {facts.name: facts.native_size for facts in self.model_facts}

    @property
    def costs(self) -> dict[str, float]:
        """For each model's name, the work of a pixel and a step, relative to others."""
        return {facts.name: facts.cost for facts in self.model_facts}

    @property
    def hashes(self) -> dict[str, str]:
        """For each model's name, the first digits of its SHA-256; empty while it is not known."""
        return {facts.name: facts.hash for facts in self.model_facts}

    @property
    def unets(self) -> dict[str, UNetKind]:
        """For each model's name what its UNet samples, where that is known."""
        return {facts.name: facts.unet for facts in self.model_facts if facts.unet}

    @property
    def problems(self) -> dict[str, str]:
        """For the name of each model that cannot be used, why."""
        return {facts.name: facts.problem for facts in self.model_facts if facts.problem}


class Workers:
    """The announcements. Every method raises RecordsUnavailable when Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._announced = redis.register_script(_ANNOUNCED)
        self._announce = redis.register_script(_ANNOUNCE)

    def announce(self, facts: WorkerFacts, *, ttl_seconds: float) -> int:
        """Announce that this worker is alive, for the next `ttl_seconds`.

        Returns:
            How many times `unload_models` has been called by anyone.
        """
        text = facts.model_copy(update={"silent_seconds": ttl_seconds}).model_dump_json()
        with reaching_redis():
            unloadings = self._announce(
                keys=[keys.WORKER + facts.worker_id, *map(keys.expected, facts.types)],
                args=[facts.worker_id, text, round(ttl_seconds * 1000)],
            )
        return cast(int, unloadings)

    def unload_models(self) -> None:
        """Ask every worker to drop the models that no job uses, at its next announcement."""
        with reaching_redis():
            self._redis.incr(keys.UNLOADINGS)

    def withdraw(self, worker_id: str) -> None:
        """Announce that this worker has shut down.

        Its types are no longer expected, until another worker that serves them announces itself.
        """
        with reaching_redis():
            pipe = self._redis.pipeline(transaction=True)
            pipe.delete(keys.WORKER + worker_id, *map(keys.expected, JOB_TYPES))
            pipe.srem(keys.WORKERS, worker_id)
            pipe.execute()

    def alive(self) -> tuple[WorkerFacts, ...]:
        """The workers whose announcement has not expired, by id."""
        return tuple(worker.facts for worker in self.announced())

    def announced(self) -> tuple[AnnouncedWorker, ...]:
        """The same workers, each with the age of its announcement."""
        with reaching_redis():
            found = cast(list[str | int], self._announced())
        workers = (
            _announced_worker(str(text), int(left) / 1000)
            for text, left in zip(found[::2], found[1::2], strict=True)
        )
        return tuple(sorted(workers, key=lambda one: one.facts.worker_id))

    def missing_types(self) -> tuple[JobType, ...]:
        """The types that no worker serves, because those that did have died.

        A type is missing for an hour at most, in case its workers were removed for good.
        """
        served = {job_type for worker in self.alive() for job_type in worker.types}
        with reaching_redis():
            expected = cast(list[str | None], self._redis.mget(map(keys.expected, JOB_TYPES)))
        return tuple(
            job_type
            for job_type, exists in zip(JOB_TYPES, expected, strict=True)
            if exists and job_type not in served
        )

    def served(self) -> Served:
        """Which types and models are served, by all workers together."""
        alive = self.alive()
        if alive:
            return _merged(alive, alive=True)
        with reaching_redis():
            text = cast(str | None, self._redis.get(keys.LAST_SERVED))
        if text is None:
            return Served(types=(), models=(), alive=False)
        last = _facts(text)
        not_resident = tuple(
            facts.model_copy(update={"resident": False}) for facts in last.model_facts
        )
        return _merged((last.model_copy(update={"model_facts": not_resident}),), alive=False)


def _merged(workers: tuple[WorkerFacts, ...], *, alive: bool) -> Served:
    """What some workers serve together."""
    facts: dict[str, ModelFacts] = {}
    for new in (new for worker in workers for new in worker.model_facts):
        known = facts.get(new.name, new)
        # of two workers with the same model, the one that knows its hash knows the most
        best = known if known.hash or not new.hash else new
        first = known if known.defaults or known.defaults_problem else new
        facts[new.name] = best.model_copy(
            update={
                "resident": known.resident or new.resident,
                "defaults": first.defaults,
                "defaults_problem": first.defaults_problem,
            }
        )
    loras = {new.name: new for worker in reversed(workers) for new in worker.lora_facts}
    return Served(
        types=tuple(sorted({served for worker in workers for served in worker.types})),
        models=tuple(sorted({model for worker in workers for model in worker.models})),
        alive=alive,
        loras=tuple(sorted({name for worker in workers for name in worker.loras})),
        embeddings=tuple(sorted({name for worker in workers for name in worker.embeddings})),
        vaes=tuple(sorted({name for worker in workers for name in worker.vaes})),
        model_facts=tuple(facts[name] for name in sorted(facts)),
        lora_aliases=tuple(sorted({n for worker in workers for n in worker.lora_aliases})),
        embedding_aliases=tuple(
            sorted({name for worker in workers for name in worker.embedding_aliases})
        ),
        bundled_embeddings=tuple(
            sorted({name for worker in workers for name in worker.bundled_embeddings})
        ),
        lora_facts=tuple(loras[name] for name in sorted(loras)),
    )


def _announced_worker(text: str, left_seconds: float) -> AnnouncedWorker:
    facts = _facts(text)
    return AnnouncedWorker(facts, max(0.0, facts.silent_seconds - left_seconds))


@lru_cache(maxsize=256)
def _facts(text: str) -> WorkerFacts:
    """Parse an announcement; cached, as each request reads all of them and few have changed."""
    return WorkerFacts.model_validate_json(text)
