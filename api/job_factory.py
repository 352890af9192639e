"""Turns the body of a request into a job: validated, its model chosen, its seed drawn."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Self

from api.backends import Backends
from api.destination_rules import outdir_faults, webhook_faults
from api.errors import NoWorkerForType
from api.settings import ApiSettings
from jobs.errors import InvalidRequest
from jobs.limits import NATIVE_SIZE, Limits
from jobs.names import JobKind, JobType, model_named
from jobs.parameters.output import output_warnings
from jobs.parameters.types import is_random
from jobs.pictures.store import PictureStore
from jobs.prompts.parts import drawn_parts
from jobs.prompts.prompt_additions import InstalledAdditions
from jobs.prompts.prompt_files import PromptFiles
from jobs.prompts.wildcard_files import WildcardFiles
from jobs.prompts.wildcards import Wildcards
from jobs.records.idempotency import IdempotentRequest
from jobs.records.new_job import NewJob, new_job_id, user_digest
from jobs.records.stored_prompts import drawn_prompts
from jobs.served import Served
from jobs.validation.compared_models import bodies_of_combinations, filled_as_first
from jobs.validation.comparisons import varied_faults
from jobs.validation.model_choice import InstalledModels
from jobs.validation.prompt_warnings import file_warnings
from jobs.validation.request import AnyRequest, Request, Upscale, parse_request
from jobs.validation.request_warnings import request_warnings
from jobs.validation.settled_defaults import FilledBody, InstalledDefaults
from jobs.webhooks.rules import WebhookRules
from jobs.workers import Workers

DEFAULT_TYPE: JobType = "optimized"
SEEDS = 2**32
"""Drawn seeds are below it, so that every tool can read them."""


@dataclass(frozen=True, kw_only=True)
class JobFactory:
    """Validates requests against the limits, models and workers of this service.

    The rules that need nothing but the request are in `jobs`.
    """

    workers: Workers
    store: PictureStore
    limits: Limits
    default_model: str
    prompt_files: PromptFiles
    wildcards: WildcardFiles
    webhooks: WebhookRules

    @classmethod
    def from_settings(cls, settings: ApiSettings, backends: Backends) -> Self:
        """The factory that the settings describe."""
        return cls(
            workers=backends.workers,
            store=backends.store,
            limits=settings.limits,
            default_model=model_named(settings.default_model),
            prompt_files=PromptFiles(settings.prompts_dir),
            wildcards=WildcardFiles(settings.wildcards_dir),
            webhooks=settings.webhook_rules,
        )

    def new_job(
        self,
        kind: JobKind,
        body: dict[str, Any],
        submitter: str,
        idempotent: IdempotentRequest | None,
        *,
        user: str = "",
        warnings: tuple[str, ...] = (),
        usual: Mapping[str, Any] | None = None,
    ) -> NewJob:
        """The job that a body asks for.

        Args:
            kind: of its endpoint.
            body: the request by the field names of `jobs.parameters.schemas`, without the API key.
            submitter, idempotent: as of NewJob.
            user, warnings, usual: as of JobService.submit.

        Raises:
            InvalidRequest: with every fault of the body.
            NoWorkerForType: no worker serves its type.
        """
        served = self.workers.served()
        if kind != "upscale" and "seed" in body and is_random(body["seed"]):
            body = {**body, "seed": secrets.randbelow(SEEDS)}
        request, filled, *of_combinations = self._parse(kind, body, served, usual)
        if request.type not in served.types:
            choices = ", ".join(served.types) or "none: no worker has reported yet"
            raise NoWorkerForType(f"no worker serves the type {request.type!r}; served: {choices}")
        warnings += output_warnings(request)
        prompts: dict[str, tuple[str, ...]] = {}
        model = ""
        if not isinstance(request, Upscale):
            models = InstalledModels.of(served, self.default_model)
            choice = models.choose(request.ckpt)
            model = choice.name
            named: list[Any] = (request.vary or {}).get("ckpt", [])
            compared = [*map(models.choose, named)]
            assert request.seed is not None, "a random seed is drawn before the request is read"
            combinations = request.combinations()
            variation_seed = request.variation_seed
            if variation_seed is None and any(each.variation_strength for each in combinations):
                variation_seed = secrets.randbelow(SEEDS)
            fillings = of_combinations or [filled]
            parts, prompts, of_file = self._read_prompts(request, fillings)
            warnings += of_file
            warnings += (*choice.warnings, *chain(*(each.warnings for each in compared)))
            warnings += tuple(request_warnings(request, parts, fillings))
            of_refiners = filter(None, (each.refiner_ckpt for each in combinations))
            refiners = {name: models.choose(name) for name in of_refiners}
            for each in refiners.values():
                warnings += tuple(text.replace("ckpt:", "refiner:", 1) for text in each.warnings)
            request = request.settled(
                model=model,
                seed=request.seed,
                variation_seed=variation_seed,
                refiners={name: each.name for name, each in refiners.items()},
                compared=[each.name for each in compared],
            )
        return NewJob(
            job_id=new_job_id(),
            request=request,
            model=model,
            warnings=tuple(dict.fromkeys(warnings)),
            **prompts,
            submitter=submitter,
            user=user_digest(user, submitter=submitter),
            idempotent=idempotent,
        )

    def _read_prompts(
        self, request: Request, fillings: Sequence[FilledBody]
    ) -> tuple[Sequence[Request], dict[str, tuple[str, ...]], tuple[str, ...]]:
        """The parts with their prompts, what the record keeps of these, warnings about a file."""
        if request.wildcards:
            lines = self.prompt_files.lines(request.from_file) if request.from_file else ()
            loras = [each.loras for each in fillings]
            parts = drawn_parts(request, lines, Wildcards(self.wildcards), loras)
            return parts, drawn_prompts(request, parts), ()
        if request.from_file:  # not in a comparison: one filling for all
            loras, grammar = fillings[0].loras, request.prompt_grammar
            read = self.prompt_files.read(request.from_file, grammar, loras)
            prompts = {"prompts": tuple(prompt.text for prompt in read)}
            return request.combinations(), prompts, file_warnings(read)
        return request.combinations(), {}, ()

    def _parse(
        self,
        kind: JobKind,
        body: dict[str, Any],
        served: Served,
        usual: Mapping[str, Any] | None,
    ) -> tuple[AnyRequest, FilledBody, *tuple[FilledBody, ...]]:
        """The request, what was filled in, and the same for each combination that has its own.

        Raises InvalidRequest with all faults.
        """
        default_type = DEFAULT_TYPE
        if served.types and DEFAULT_TYPE not in served.types:
            default_type = served.types[0]
        models = InstalledModels.of(served, self.default_model)
        additions = InstalledAdditions(
            loras=served.loras,
            embeddings=served.embeddings,
            vaes=served.vaes,
            lora_aliases=served.lora_aliases,
            embedding_aliases=served.embedding_aliases,
            bundled_embeddings=served.bundled_embeddings,
            lora_widths=served.lora_widths,
        )

        def fill(body: dict[str, Any]) -> FilledBody:
            model = models.name_of(body.get("ckpt"))
            native = models.native_sizes.get(model, NATIVE_SIZE)
            last = {**self.limits.sizes_left_out(native), **(usual or {})}
            filled = InstalledDefaults.of(served).fill(body, model, last)
            sizes = self.limits.filled_sizes(filled.body, body, native)
            return replace(filled, body=filled.body | sizes)

        bodies = bodies_of_combinations(body, self.limits.max_images)
        combinations = [*map(fill, bodies)]
        if kind == "upscale":
            filled = FilledBody(body)
        elif bodies:
            filled = filled_as_first(body, bodies[0], fill)
        else:
            filled = fill(body)
        faults = [*filled.faults]
        if combinations:
            faults = [*varied_faults(body["vary"], [each.faults for each in combinations])]
        request = None
        try:
            request = parse_request(
                kind,
                filled.body,
                limits=self.limits,
                default_type=default_type,
                prompt_files=self.prompt_files,
                models=models,
                additions=additions if served.types else None,
                wildcards=self.wildcards,
                sent=[name for name, value in body.items() if value is not None],
                loras=filled.loras,
                combinations=combinations,
            )
        except InvalidRequest as error:
            faults += error.faults
        if request:
            faults += outdir_faults(request.outdir, self.store)
            faults += webhook_faults(request.webhook, self.webhooks)
        if faults or request is None:
            raise InvalidRequest(tuple(faults))
        return request, filled, *combinations
