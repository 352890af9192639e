"""Reads the body of a request against what this service has: its limits, models and workers."""

import posixpath
import secrets
from dataclasses import dataclass
from typing import Any

from api.errors import NobodyServes
from jobs.additions import InstalledAdditions
from jobs.errors import Fault, InvalidRequest, UnsafeName, WebhookRefused
from jobs.faults import safe_value
from jobs.idempotency import IdempotentRequest
from jobs.limits import Limits
from jobs.models import InstalledModels, ModelChoice
from jobs.names import JobKind, JobType
from jobs.new_job import NewJob, new_job_id
from jobs.prompt_files import PromptFiles
from jobs.request import Request, parse_request
from jobs.store import PictureStore
from jobs.webhook_rules import WebhookRules
from jobs.workers import Served, Workers

DEFAULT_TYPE: JobType = "optimized"
SEEDS = 2**32
"""Drawn seeds stay below; every tool can read them."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a body is held against. The schemas and rules of a request itself are in `jobs`."""

    workers: Workers
    store: PictureStore
    limits: Limits
    default_model: str
    prompt_files: PromptFiles
    webhooks: WebhookRules

    def new_job(
        self,
        kind: JobKind,
        body: dict[str, Any],
        submitter: str,
        idempotent: IdempotentRequest | None,
    ) -> NewJob:
        """The job that a body asks for, settled: its model chosen, its seed drawn.

        Args:
            kind: which endpoint the body came to.
            body: the JSON object, less its key.
            submitter, idempotent: as in NewJob.

        Raises:
            InvalidRequest: with every fault of the body.
            NobodyServes: no worker takes its type.
        """
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
            prompts=self.prompt_files.texts(request.from_file) if request.from_file else (),
            submitter=submitter,
            idempotent=idempotent,
        )

    def _read(
        self, kind: JobKind, body: dict[str, Any], served: Served
    ) -> tuple[Request, ModelChoice]:
        """The request and its model; the faults of both are told together."""
        default_type = DEFAULT_TYPE
        if served.types and DEFAULT_TYPE not in served.types:
            default_type = served.types[0]
        models = InstalledModels(
            default=self.default_model, names=served.models, native_sizes=served.native_sizes
        )
        faults: list[Fault] = []
        request = choice = None
        try:
            request = parse_request(
                kind,
                body,
                limits=self.limits,
                default_type=default_type,
                prompt_files=self.prompt_files,
                models=models,
                additions=InstalledAdditions(loras=served.loras, embeddings=served.embeddings)
                if served.types
                else None,
            )
        except InvalidRequest as error:
            faults += error.faults
        ckpt = request.ckpt if request else body.get("ckpt", "default")
        if request or (isinstance(ckpt, str) and "ckpt" not in {f.field for f in faults}):
            try:
                choice = models.choose(ckpt)
            except InvalidRequest as error:
                faults += error.faults
        if request and (fault := self._leads_out(request.outdir)):
            faults.append(fault)
        if request and (fault := self._leads_in(request.webhook)):
            faults.append(fault)
        if faults or request is None or choice is None:
            raise InvalidRequest(tuple(faults))
        return request, choice

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
