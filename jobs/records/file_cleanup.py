"""Deletion of the files that ended jobs leave in the store: inputs, parts, unpublished pictures.

The script that ends a job also writes down what is to be deleted, so a crash loses nothing: the
process that ended the job deletes the files at once, and a sweeper deletes what is left.
"""

import json
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from redis import Redis

from jobs import keys
from jobs.connection import reaching_redis
from jobs.errors import StoreError
from jobs.pictures.store import PictureStore
from jobs.records.shared_lua import SHARED_ALLOW_OOM
from jobs.status import JobState

_AT_ONCE = 100
_THREADS = 8
"""How many jobs' files are deleted at once: an object store takes a while for each."""

# A job that was deleted in the meantime has other files to delete: they stay noted.
#
# ARGV id names ...
_NOTHING_LEFT = (
    SHARED_ALLOW_OOM
    + """
for i = 1, #ARGV, 2 do
  if redis.call('HGET', DELETIONS, ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', DELETIONS, ARGV[i])
  end
end
"""
)


class FileCleanup:
    """Deletes the files that nobody needs any more. Safe to share between threads.

    Every method raises RecordsUnavailable when Redis does not answer.
    """

    def __init__(self, redis: Redis, store: PictureStore) -> None:
        self._redis = redis
        self._store = store
        self._nothing_left = redis.register_script(_NOTHING_LEFT)

    def clean(self, job_id: str) -> bool:
        """Delete the files that a job has left; none if it has not ended.

        Returns:
            Whether none is left; if one is, a sweeper tries again.
        """
        with reaching_redis():
            names = cast(str | None, self._redis.hget(keys.DELETIONS, job_id))
        if names is None:
            return True
        try:
            self._store.delete_inputs(job_id)
            self._store.discard_parts(job_id)
        except StoreError:
            return False
        if not self._delete_files(json.loads(names)):
            return False
        self._note_deleted([(job_id, names)])
        return True

    def delete_unpublished(self, job_id: str, names: Sequence[str]) -> None:
        """Delete pictures of an attempt that lost its job, unless the job still needs them.

        If the job is running or has succeeded, its current attempt uses the same names.
        """
        with reaching_redis():
            state = cast(str | None, self._redis.hget(keys.job(job_id), "state"))
            if state is None or (JobState(state).final and state != JobState.SUCCESS):
                self._redis.hset(keys.DELETIONS, job_id, json.dumps(list(names)))
        self.clean(job_id)

    def clean_all(self) -> int:
        """Delete the files that all ended jobs have left. Returns how many jobs have none left.

        The store is listed once. What a frozen worker adds later is an orphan. Raises StoreError.
        """
        with reaching_redis():
            deletions = dict(self._redis.hscan_iter(keys.DELETIONS, count=_AT_ONCE))
        if not deletions:
            return 0
        unfinished: defaultdict[str, list[str]] = defaultdict(list)
        for name in self._store.unfinished():
            unfinished[_job_of(name)].append(name)
        return sum(
            self._delete({job_id: deletions[job_id] for job_id in some}, unfinished)
            for some in _batches(list(deletions), _AT_ONCE)
        )

    def delete_orphans(self, *, grace: float) -> int:
        """Delete unfinished files and inputs that have belonged to no living job for a while.

        A file may be older than the record it is stored for, so a file is noted when it is first
        seen, and deleted once it has been an orphan for `grace` seconds.

        Returns:
            How many were deleted.
        """
        orphans = list(self._orphans())
        with reaching_redis():
            now = cast(tuple[int, int], self._redis.time())[0]
            known = cast(list[str], self._redis.zrange(keys.ORPHANS, 0, -1))
            if deleted := set(known) - set(orphans):
                self._redis.zrem(keys.ORPHANS, *deleted)
            if orphans:
                self._redis.zadd(keys.ORPHANS, dict.fromkeys(orphans, now), nx=True)
            old = cast(list[str], self._redis.zrangebyscore(keys.ORPHANS, "-inf", now - grace))
        for name in old:
            self._store.delete(name)
        return len(old)

    def _orphans(self) -> Iterator[str]:
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

    def _delete(self, deletions: Mapping[str, str], unfinished: Mapping[str, Sequence[str]]) -> int:
        """Delete files of some jobs, a few jobs at a time. Returns how many have none left.

        Args:
            deletions: for each job, the names of its pictures, as JSON.
            unfinished: its inputs and parts.
        """

        def delete(job_id: str) -> bool:
            names = [*unfinished.get(job_id, ()), *json.loads(deletions[job_id])]
            return self._delete_files(names)

        with ThreadPoolExecutor(min(_THREADS, len(deletions))) as threads:
            deleted = [*threads.map(delete, deletions)]
        done = [job for job, its in zip(deletions.items(), deleted, strict=True) if its]
        self._note_deleted(done)
        return len(done)

    def _note_deleted(self, deletions: Sequence[tuple[str, str]]) -> None:
        if deletions:
            with reaching_redis():
                self._nothing_left(args=[part for each in deletions for part in each])

    def _delete_files(self, names: Iterable[str]) -> bool:
        try:
            for name in names:
                self._store.delete(name)
        except StoreError:
            return False
        return True


def _job_of(name: str) -> str:
    """The job of `inputs/<job>.<role>.png` or `.parts/<job>.<token>.<index>.<random>`."""
    return posixpath.basename(name).partition(".")[0]


def _batches(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
