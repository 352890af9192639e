"""The announcements of the workers in Redis, where every process can read them."""

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.names import JOB_TYPES, JobType
from jobs.served import Served, served_by
from jobs.worker_facts import WorkerFacts

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


@dataclass(frozen=True)
class AnnouncedWorker:
    """A worker, and the age of its latest announcement in seconds, by Redis' clock."""

    facts: WorkerFacts
    seconds_ago: float


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
            return served_by(alive, alive=True)
        with reaching_redis():
            text = cast(str | None, self._redis.get(keys.LAST_SERVED))
        if text is None:
            return Served(types=(), models=(), alive=False)
        last = _facts(text)
        not_resident = tuple(
            facts.model_copy(update={"resident": False}) for facts in last.model_facts
        )
        return served_by((last.model_copy(update={"model_facts": not_resident}),), alive=False)


def _announced_worker(text: str, left_seconds: float) -> AnnouncedWorker:
    facts = _facts(text)
    return AnnouncedWorker(facts, max(0.0, facts.silent_seconds - left_seconds))


@lru_cache(maxsize=256)
def _facts(text: str) -> WorkerFacts:
    """Parse an announcement; cached, as each request reads all of them and few have changed."""
    return WorkerFacts.model_validate_json(text)
