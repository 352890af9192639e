"""The connections of one API process: Redis, the store of pictures, the Celery broker."""

from dataclasses import dataclass
from typing import Self

from celery import Celery
from redis import Redis

from api.settings import ApiSettings
from jobs.connection import connect
from jobs.pictures.store import PictureStore
from jobs.queue import make_celery
from jobs.records.file_cleanup import FileCleanup
from jobs.records.overview import Overview
from jobs.records.record import JobRecords
from jobs.workers import Workers


@dataclass(frozen=True, kw_only=True)
class Backends:
    """Clients of everything outside this process. Safe to share between threads."""

    redis: Redis
    records: JobRecords
    overview: Overview
    workers: Workers
    store: PictureStore
    celery: Celery
    file_cleanup: FileCleanup

    @classmethod
    def from_settings(cls, settings: ApiSettings) -> Self:
        """The clients that the settings describe. Each connects on first use."""
        redis = connect(settings.celery_result_backend)
        store = PictureStore(settings.outputs, room=settings.store_room)
        records = JobRecords(
            redis,
            result_ttl_seconds=settings.result_ttl_seconds,
            tombstone_ttl=settings.tombstone_ttl,
            caps=settings.waiting_caps,
        )
        return cls(
            redis=redis,
            records=records,
            overview=Overview(redis, records),
            workers=Workers(redis),
            store=store,
            celery=make_celery(settings, publisher=True),
            file_cleanup=FileCleanup(redis, store),
        )
