"""The desk between HTTP and the jobs: takes a request in, tells how its job is doing."""

import posixpath
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import structlog
from celery import Celery
from redis import Redis

from api.errors import NobodyServes
from api.settings import ApiSettings
from jobs.additions import addition_faults
from jobs.connection import connect
from jobs.errors import Fault, InvalidRequest, JobsError, UnsafeName, WebhookRefused
from jobs.faults import safe_value
from jobs.idempotency import Accepted, Repeatable
from jobs.limits import Limits
from jobs.models import ModelChoice, choose_model
from jobs.names import JobKind, JobType, model_named
from jobs.overview import Overview
from jobs.prompt_files import PromptFiles
from jobs.queue import make_celery, submit
from jobs.record import JobRecords, NewJob, new_job_id
from jobs.remains import Remains
from jobs.request import ImageToImage, Request, parse_request
from jobs.status import JobState
from jobs.store import PictureStore
from jobs.webhook_rules import WebhookRules
from jobs.workers import Served, Workers

log = structlog.get_logger(__name__)

DEFAULT_TYPE: JobType = "optimized"
SEEDS = 2**32
"""Drawn seeds stay below; every tool can read them."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the routes work with."""

    redis: Redis
    records: JobRecords
    overview: Overview
    workers: Workers
    store: PictureStore
    celery: Celery
    limits: Limits
    default_model: str
    prompt_files: PromptFiles
    webhooks: WebhookRules
    remains: Remains

    @classmethod
    def of(cls, settings: ApiSettings) -> Self:
        """The desk that the settings describe. Nothing is connected before it is used."""
        redis = connect(settings.celery_result_backend)
        store = PictureStore(settings.outputs)
        records = JobRecords(
            redis,
            result_ttl_seconds=settings.result_ttl_seconds,
            remembered_seconds=settings.remembered_seconds,
            caps=settings.waiting_caps,
        )
        return cls(
            redis=redis,
            records=records,
            overview=Overview(redis, records),
            workers=Workers(redis),
            store=store,
            celery=make_celery(settings, publisher=True),
            limits=settings.limits,
            default_model=model_named(settings.default_model),
            prompt_files=PromptFiles(settings.prompts_dir),
            webhooks=settings.webhook_rules,
            remains=Remains(redis, store),
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
        accepted = repeatable and self.records.repeated(repeatable)
        if not accepted:
            accepted = self._open(self._new_job(kind, body, submitter, repeatable))
        # also when it comes again: whoever took it in may have died before this
        submit(self.celery, accepted.job_id, accepted.type)
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
            self.remains.tidy(job_id)

    def _new_job(
        self, kind: JobKind, body: dict[str, Any], submitter: str, repeatable: Repeatable | None
    ) -> NewJob:
        served = self.workers.served()
        request, choice = self._read(kind, body, served)
        if request.type not in served.types:
            choices = ", ".join(served.types) or "none: no worker has reported yet"
            raise NobodyServes(f"no worker serves the type {request.type!r}; served: {choices}")
        seed = secrets.randbelow(SEEDS) if request.seed is None else request.seed
        return NewJob(
            job_id=new_job_id(),
            request=request.settled(model=choice.name, seed=seed),
            model=choice.name,
            warnings=choice.warnings,
            prompts=self.prompt_files.read(request.from_file) if request.from_file else (),
            submitter=submitter,
            repeatable=repeatable,
        )

    def _read(
        self, kind: JobKind, body: dict[str, Any], served: Served
    ) -> tuple[Request, ModelChoice]:
        """The request and its model; the faults of both are told together."""
        default_type = DEFAULT_TYPE
        if served.types and DEFAULT_TYPE not in served.types:
            default_type = served.types[0]
        faults: list[Fault] = []
        request = choice = None
        try:
            request = parse_request(
                kind,
                body,
                limits=self.limits,
                default_type=default_type,
                prompt_files=self.prompt_files,
            )
        except InvalidRequest as error:
            faults += error.faults
        ckpt = request.ckpt if request else body.get("ckpt", "default")
        if request or (isinstance(ckpt, str) and "ckpt" not in {f.field for f in faults}):
            try:
                choice = choose_model(ckpt, default=self.default_model, installed=served.models)
            except InvalidRequest as error:
                faults += error.faults
        if request and (fault := self._leads_out(request.outdir)):
            faults.append(fault)
        if request and (fault := self._leads_in(request.webhook)):
            faults.append(fault)
        if request:
            faults += self._unknown_additions(request, served)
        if faults or request is None or choice is None:
            raise InvalidRequest(tuple(faults))
        return request, choice

    def _unknown_additions(self, request: Request, served: Served) -> tuple[Fault, ...]:
        """LoRAs and embeddings that nobody has; none as long as no worker has told."""
        if not served.types:
            return ()
        prompts: dict[str, tuple[str, ...]] = {
            "prompt": (request.prompt,),
            "negative_prompt": (request.negative_prompt,),
        }
        if request.from_file:
            prompts["from-file"] = self.prompt_files.read(request.from_file)
        return tuple(
            fault
            for field, texts in prompts.items()
            for fault in addition_faults(
                field, texts, loras=served.loras, embeddings=served.embeddings
            )
        )

    def _leads_out(self, outdir: str) -> Fault | None:
        """What only the store can find wrong with a folder: that a link on its way leads out."""
        try:
            self.store.check(posixpath.join(outdir, "picture"))
        except UnsafeName:
            return Fault(
                field="outdir",
                code="outside_output_root",
                value=outdir,
                problem="leaves the output folder",
                expected="a folder below the output folder",
            )
        return None

    def _leads_in(self, webhook: str | None) -> Fault | None:
        """What only a resolver can find wrong with a webhook: that it leads into this network."""
        if webhook is None:
            return None
        try:
            self.webhooks.check(webhook)
        except WebhookRefused as error:
            return Fault(
                field="webhook",
                code="webhook_refused",
                value=safe_value("webhook", webhook),
                problem=error.problem,
                expected=error.expected,
            )
        return None

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
        log.info(
            "job accepted",
            job=job.job_id,
            kind=request.kind,
            type=request.type,
            model=job.model,
            images=request.image_count,
        )
        return accepted

    def _forget_init_image(self, job: NewJob) -> None:
        if isinstance(job.request, ImageToImage):
            with suppress(JobsError):
                self.store.delete_init_image(job.job_id)
