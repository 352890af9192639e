"""Deletes what nobody needs any more: pictures whose time is up, and what the dead left behind.

Every worker has one; one at a time sweeps. Each step can be taken twice, so the lock only saves
work, and a sweeper that dies holding it is followed by another when it runs out.
"""

from contextlib import suppress

import structlog
from redis import Redis
from redis.exceptions import LockError

from jobs import keys
from jobs.connection import reaching_redis
from jobs.errors import StoreError
from jobs.expiry import Expiry
from jobs.file_cleanup import FileCleanup
from worker.background.periodic_thread import PeriodicThread

log = structlog.get_logger(__name__)

_LOCK_SECONDS = 120


class Sweeper(PeriodicThread):
    """Sweeps the store every `seconds`.

    Args:
        redis: where the lock is.
        expiry: which pictures are kept no longer.
        file_cleanup: what ended jobs left behind.
        seconds: how often.
        stray_seconds: how long a file that no job claims is left alone.
    """

    def __init__(
        self,
        redis: Redis,
        expiry: Expiry,
        file_cleanup: FileCleanup,
        *,
        seconds: float,
        stray_seconds: float,
    ) -> None:
        super().__init__("sweeper", seconds)
        self._lock = redis.lock(keys.SWEEP_LOCK, timeout=_LOCK_SECONDS, thread_local=False)
        self._expiry = expiry
        self._file_cleanup = file_cleanup
        self._stray_seconds = stray_seconds

    def tick(self) -> None:
        with reaching_redis():
            mine = self._lock.acquire(blocking=False)
        if not mine:
            return
        try:
            self._sweep()
        except StoreError as error:
            log.warning("the store could not be swept", reason=str(error))
        finally:
            with reaching_redis(), suppress(LockError):  # it took so long that the lock ran out
                self._lock.release()

    def _sweep(self) -> None:
        expired = 0
        while found := self._expiry.expire():
            expired += len(found)
            self._file_cleanup.clean_all()
        left = self._file_cleanup.clean_all()
        strays = self._file_cleanup.delete_orphans(grace=self._stray_seconds)
        if expired or strays:
            log.info("store swept", expired=expired, left_behind=left, strays=strays)
