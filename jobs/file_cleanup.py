"""What ended jobs left in the store and must not stay there: init images, parts, lost pictures.

The step that ends a job writes down what is to be deleted, so that no death in between loses it;
whoever ended the job deletes it at once, and a sweeper what was left.
"""

import json
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.errors import StoreError
from jobs.status import JobState
from jobs.store import PictureStore

_AT_ONCE = 100


class FileCleanup:
    """The files that nobody needs any more. Safe to share between threads.

    Every method raises RecordsUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, store: PictureStore) -> None:
        self._redis = redis
        self._store = store

    def tidy(self, job_id: str) -> bool:
        """Delete what an ended job left behind; nothing when there is nothing, or it lives.

        Returns:
            Whether all of it could be deleted; a sweeper will try again if not.
        """
        with reaching_redis():
            names = cast(str | None, self._redis.hget(keys.REMAINS, job_id))
        return names is None or self._delete(job_id, json.loads(names))

    def disown(self, job_id: str, names: Sequence[str]) -> None:
        """Delete pictures that were published too late, unless the job still has a use for them.

        Whoever has the job now publishes the same pictures under the same names.
        """
        with reaching_redis():
            state = cast(str | None, self._redis.hget(keys.job(job_id), "state"))
            if state is None or (JobState(state).final and state != JobState.SUCCESS):
                self._redis.hset(keys.REMAINS, job_id, json.dumps(list(names)))
        self.tidy(job_id)

    def sweep(self) -> int:
        """Delete what all ended jobs left behind. Returns how many of them are done with."""
        with reaching_redis():
            found = list(self._redis.hscan_iter(keys.REMAINS, count=_AT_ONCE))
        return sum(self._delete(job_id, json.loads(names)) for job_id, names in found)

    def sweep_strays(self, *, seconds: float) -> int:
        """Delete unfinished files and init images whose job is no more, once seen for `seconds`.

        A file may be older than the record it is stored for, so what is seen first is only noted.

        Returns:
            How many were deleted.
        """
        strays = list(self._strays())
        with reaching_redis():
            now = cast(tuple[int, int], self._redis.time())[0]
            known = cast(list[str], self._redis.zrange(keys.STRAYS, 0, -1))
            if gone := set(known) - set(strays):
                self._redis.zrem(keys.STRAYS, *gone)
            if strays:
                self._redis.zadd(keys.STRAYS, dict.fromkeys(strays, now), nx=True)
            old = cast(list[str], self._redis.zrangebyscore(keys.STRAYS, "-inf", now - seconds))
        for name in old:
            self._store.delete(name)
        return len(old)

    def _strays(self) -> Iterator[str]:
        names = self._store.unfinished()
        for some in _batches(sorted(names), _AT_ONCE):
            with reaching_redis():
                pipe = self._redis.pipeline(transaction=False)
                for name in some:
                    pipe.hget(keys.job(_job_of(name)), "state")
                states = pipe.execute()
            for name, state in zip(some, states, strict=True):
                if state is None or JobState(state).final:
                    yield name

    def _delete(self, job_id: str, names: Iterable[str]) -> bool:
        try:
            self._store.delete_inputs(job_id)
            self._store.discard_parts(job_id)
            for name in names:
                self._store.delete(name)
        except StoreError:
            return False
        with reaching_redis():
            self._redis.hdel(keys.REMAINS, job_id)
        return True


def _job_of(name: str) -> str:
    return posixpath.basename(name).partition(".")[0]


def _batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
