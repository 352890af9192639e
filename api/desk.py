"""The desk between HTTP and the jobs: takes a request in, tells how its job is doing."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import structlog
from celery import Celery
from redis import Redis

from api.reading import Reading
from api.settings import ApiSettings
from jobs.connection import connect
from jobs.errors import JobsError
from jobs.file_cleanup import FileCleanup
from jobs.idempotency import Accepted, Repeatable
from jobs.names import JobKind, model_named
from jobs.new_job import NewJob
from jobs.overview import Overview
from jobs.prompt_files import PromptFiles
from jobs.queue import make_celery, submit
from jobs.record import JobRecords
from jobs.request import ImageToImage
from jobs.status import JobState
from jobs.store import PictureStore
from jobs.workers import Workers

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the routes work with."""

    redis: Redis
    records: JobRecords
    overview: Overview
    workers: Workers
    store: PictureStore
    celery: Celery
    reading: Reading
    file_cleanup: FileCleanup

    @classmethod
    def of(cls, settings: ApiSettings) -> Self:
        """The desk that the settings describe. Nothing is connected before it is used."""
        redis = connect(settings.celery_result_backend)
        store = PictureStore(settings.outputs)
        records = JobRecords(
            redis,
            result_ttl_seconds=settings.result_ttl_seconds,
            remembered_seconds=settings.tombstone_ttl,
            caps=settings.waiting_caps,
        )
        workers = Workers(redis)
        return cls(
            redis=redis,
            records=records,
            overview=Overview(redis, records),
            workers=workers,
            store=store,
            celery=make_celery(settings, publisher=True),
            reading=Reading(
                workers=workers,
                store=store,
                limits=settings.limits,
                default_model=model_named(settings.default_model),
                prompt_files=PromptFiles(settings.prompts_dir),
                webhooks=settings.webhook_rules,
            ),
            file_cleanup=FileCleanup(redis, store),
        )

    def accept(
        self, kind: JobKind, body: dict[str, Any], *, submitter: str, again: str | None = None
    ) -> Accepted:
        """Read a body, write its job's record and wake a worker.

        The record is what makes a job: whatever dies before it is written, nothing was accepted;
        whatever dies after it, the job is drawn, and its idempotency key finds it.

        Args:
            kind: which endpoint the body came to.
            body: the JSON object, less its key.
            submitter: a digest of the key it came with.
            again: the idempotency key; None: every request is a new one.

        Returns:
            The new job, or the one that the same request has had before.

        Raises:
            InvalidRequest: with every fault of the body.
            KeyUsedOtherwise: the idempotency key belongs to another body.
            NobodyServes: no worker takes its type.
            TooManyWaiting, QueueFull: too many jobs wait already.
            RecordsUnavailable, StoreError: nothing was accepted.
        """
        repeatable = Repeatable.of(again, kind, body, submitter=submitter) if again else None
        known = repeatable and self.records.repeated(repeatable)
        if known:
            # once more: whoever took it in may have died before this
            submit(self.celery, known.job_id, known.type)
            return known
        job = self.reading.new_job(kind, body, submitter, repeatable)
        accepted = self._open(job)
        submit(self.celery, accepted.job_id, accepted.type)
        if accepted.job_id == job.job_id:  # a worker need not wait for the log
            log.info(
                "job accepted",
                job=job.job_id,
                kind=kind,
                type=job.request.type,
                model=job.model,
                images=job.request.image_count,
            )
        return accepted

    def cancel(self, job_id: str, *, by: str) -> JobState:
        """Cancel a job, as JobRecords.cancel does, and delete what it left in the store."""
        state = self.records.cancel(job_id, by=by)
        log.info("job cancelled", job=job_id, was=state)
        self._tidy(job_id)
        return state

    def delete(self, job_id: str, *, by: str) -> JobState:
        """Forget or cancel a job, as JobRecords.delete does, and delete its files."""
        state = self.records.delete(job_id, by=by)
        log.info("job deleted", job=job_id, was=state)
        self._tidy(job_id)
        return state

    def _tidy(self, job_id: str) -> None:
        """Delete what an ended job left; a worker's sweeper does it if this one cannot."""
        with suppress(JobsError):
            self.file_cleanup.tidy(job_id)

    def _open(self, job: NewJob) -> Accepted:
        """The init image first, the record after it: whoever sees a record finds its picture."""
        request = job.request
        if isinstance(request, ImageToImage):
            self.store.put_init_image(job.job_id, request.init_img)
        try:
            accepted = self.records.open(job)
        except JobsError:
            self._forget_init_image(job)
            raise
        if accepted.job_id != job.job_id:  # the same request was quicker
            self._forget_init_image(job)
        return accepted

    def _forget_init_image(self, job: NewJob) -> None:
        if isinstance(job.request, ImageToImage):
            with suppress(JobsError):
                self.store.delete_init_image(job.job_id)
