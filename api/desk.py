"""The desk between HTTP and the jobs: takes a request in, tells how its job is doing."""

import logging
import posixpath
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from celery import Celery
from redis import Redis

from api.errors import NobodyServes
from api.settings import ApiSettings
from jobs.additions import addition_faults
from jobs.connection import connect
from jobs.errors import Fault, InvalidRequest, JobsError, UnsafeName
from jobs.limits import Limits
from jobs.models import ModelChoice, choose_model
from jobs.names import JobKind, JobType, model_named
from jobs.prompt_files import PromptFiles
from jobs.queue import make_celery, submit
from jobs.record import JobRecords, NewJob, new_job_id
from jobs.request import ImageToImage, Request, parse_request
from jobs.store import PictureStore
from jobs.workers import Served, Workers

log = logging.getLogger(__name__)

DEFAULT_TYPE: JobType = "optimized"
SEEDS = 2**32
"""Drawn seeds stay below; every tool can read them."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the routes work with."""

    redis: Redis
    records: JobRecords
    workers: Workers
    store: PictureStore
    celery: Celery
    limits: Limits
    default_model: str
    prompt_files: PromptFiles

    @classmethod
    def of(cls, settings: ApiSettings) -> Self:
        """The desk that the settings describe. Nothing is connected before it is used."""
        redis = connect(settings.celery_result_backend)
        return cls(
            redis=redis,
            records=JobRecords(
                redis,
                result_ttl_seconds=settings.result_ttl_seconds,
                caps=settings.waiting_caps,
            ),
            workers=Workers(redis),
            store=PictureStore(settings.outputs),
            celery=make_celery(settings, publisher=True),
            limits=settings.limits,
            default_model=model_named(settings.default_model),
            prompt_files=PromptFiles(settings.prompts_dir),
        )

    def accept(self, kind: JobKind, body: dict[str, Any], *, submitter: str) -> NewJob:
        """Read a body, write its job's record and wake a worker.

        Args:
            kind: which endpoint the body came to.
            body: the JSON object, less its key.
            submitter: a digest of the key it came with.

        Raises:
            InvalidRequest: with every fault of the body.
            NobodyServes: no worker takes its type.
            TooManyWaiting, QueueFull: too many jobs wait already.
            RecordsUnavailable, StoreError: nothing was accepted.
        """
        served = self.workers.served()
        request, choice = self._read(kind, body, served)
        if request.type not in served.types:
            choices = ", ".join(served.types) or "none: no worker has reported yet"
            raise NobodyServes(f"no worker serves the type {request.type!r}; served: {choices}")
        seed = secrets.randbelow(SEEDS) if request.seed is None else request.seed
        job = NewJob(
            job_id=new_job_id(),
            request=request.settled(model=choice.name, seed=seed),
            model=choice.name,
            warnings=choice.warnings,
            prompts=self.prompt_files.read(request.from_file) if request.from_file else (),
            submitter=submitter,
        )
        self._open(job)
        submit(self.celery, job.job_id, request.type)
        log.info(
            "job %s: %s, %s, model %s, %d image(s)",
            job.job_id, kind, request.type, job.model, request.image_count,
        )  # fmt: skip
        return job

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

    def _open(self, job: NewJob) -> None:
        """The init image first, the record after it: whoever sees a record finds its picture."""
        request = job.request
        if not isinstance(request, ImageToImage):
            self.records.open(job)
            return
        self.store.put_init_image(job.job_id, request.init_img)
        try:
            self.records.open(job)
        except JobsError:
            with suppress(JobsError):
                self.store.delete_init_image(job.job_id)
            raise
