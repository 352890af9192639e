"""Deletes expired pictures, leftover files of ended jobs, and files that belong to no job.

It also returns jobs to their queue whose entry in it is missing.

Every worker has a sweeper, and a lock lets one at a time sweep. All steps are idempotent, so the
lock only saves work; when a sweeper dies, its lock expires.
"""

from contextlib import suppress

import structlog
from redis import Redis
from redis.exceptions import LockError

from jobs import keys
from jobs.connection import reaching_redis
from jobs.errors import StoreError
from jobs.records.expiry import Expiry
from jobs.records.file_cleanup import FileCleanup
from jobs.records.queue_repair import QueueRepair
from worker.background.periodic_thread import PeriodicThread

log = structlog.get_logger(__name__)

_LOCK_SECONDS = 120


class Sweeper(PeriodicThread):
    """Sweeps the store every `seconds`.

    Args:
        redis: holds the lock and the records.
        expiry: finds the expired pictures.
        file_cleanup: deletes files.
        seconds: the interval.
        orphan_grace: seconds after which a file that belongs to no job is deleted.
    """

    def __init__(
        self,
        redis: Redis,
        expiry: Expiry,
        file_cleanup: FileCleanup,
        *,
        seconds: float,
        orphan_grace: float,
    ) -> None:
        super().__init__("sweeper", seconds)
        self._lock = redis.lock(keys.SWEEP_LOCK, timeout=_LOCK_SECONDS, thread_local=False)
        self._queue_repair = QueueRepair(redis)
        self._expiry = expiry
        self._file_cleanup = file_cleanup
        self._orphan_grace = orphan_grace

    def tick(self) -> None:
        with reaching_redis():
            acquired = self._lock.acquire(blocking=False)
        if not acquired:
            return
        try:
            if found := self._queue_repair.step():
                log.warning("jobs without an entry in the queue, or without a lease", found=found)
            self._sweep()
        except StoreError as error:
            log.warning("the store could not be swept", reason=str(error))
        finally:
            with reaching_redis(), suppress(LockError):  # the sweep outlasted the lock
                self._lock.release()

    def _sweep(self) -> None:
        expired = 0
        while found := self._expiry.expire():
            expired += len(found)
        leftovers = self._file_cleanup.clean_all()
        orphans = self._file_cleanup.delete_orphans(grace=self._orphan_grace)
        if expired or orphans:
            log.info("store swept", expired=expired, leftovers=leftovers, orphans=orphans)
