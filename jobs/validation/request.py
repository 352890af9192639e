"""From a JSON body to a request.

`jobs.parameters.schemas` has the values and the meaning of each parameter.
A body is read once, by `parse_request`; the request is frozen, and each field has its final type.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, TypedDict, Unpack, get_args, overload

from pydantic import ValidationError

from jobs.errors import Fault, InvalidRequest
from jobs.limits import MAX_COUNT, Limits
from jobs.names import JOB_TYPES, GenerationKind, JobKind, JobType
from jobs.parameters.generation import GenerationRequest
from jobs.parameters.schemas import (
    NULL_HAS_A_MEANING,
    SCHEMAS,
    AnyRequest,
    ImageToImage,
    Request,
    TextToImage,
    fields_of,
    without_inputs,
)
from jobs.parameters.upscale import Upscale, upscale_faults
from jobs.prompts.lora_tags import NO_LORAS, AddedLoras
from jobs.prompts.prompt_additions import InstalledAdditions
from jobs.prompts.prompt_files import PromptFiles
from jobs.prompts.wildcard_files import WildcardFiles
from jobs.prompts.wildcards import Wildcards
from jobs.validation.compared_models import with_filled
from jobs.validation.comparisons import read_comparison
from jobs.validation.model_choice import InstalledModels
from jobs.validation.rule_context import RuleContext
from jobs.validation.rules import expected_side, rule_faults
from jobs.validation.settled_defaults import FilledBody
from jobs.validation.validation_faults import OtherSchema, faults_of, safe_value

__all__ = [
    "AnyRequest",
    "GenerationRequest",
    "ImageToImage",
    "Request",
    "TextToImage",
    "Upscale",
    "parse_request",
]

WIDEST: JobType = "standard"
"""The type with all fields of its kind: a body with an unknown type is read as this one."""


class _Given(TypedDict, total=False):
    """The optional arguments of `parse_request`."""

    limits: Limits | None
    default_type: JobType
    prompt_files: PromptFiles | None
    models: InstalledModels | None
    additions: InstalledAdditions | None
    wildcards: WildcardFiles | None
    sent: Collection[str] | None
    loras: AddedLoras
    combinations: Sequence[FilledBody]


@overload
def parse_request(
    kind: GenerationKind, body: dict[str, Any], **given: Unpack[_Given]
) -> Request: ...
@overload
def parse_request(kind: JobKind, body: dict[str, Any], **given: Unpack[_Given]) -> AnyRequest: ...
def parse_request(
    kind: JobKind,
    body: dict[str, Any],
    *,
    limits: Limits | None = None,
    default_type: JobType = "optimized",
    prompt_files: PromptFiles | None = None,
    models: InstalledModels | None = None,
    additions: InstalledAdditions | None = None,
    wildcards: WildcardFiles | None = None,
    sent: Collection[str] | None = None,
    loras: AddedLoras = NO_LORAS,
    combinations: Sequence[FilledBody] = (),
) -> AnyRequest:
    """Read a body (less its `api_key`) against the schema of its kind and type.

    Args:
        kind: the kind of its endpoint.
        body: the JSON object, as decoded.
        limits: caps on one request.
        default_type: the type of a body that names none.
        prompt_files: what `from-file` may name; None: nothing.
        models: the installed models, whose native sizes decide how large H and W may be.
        additions: the installed LoRAs and embeddings; None: not known, so any name is accepted.
        wildcards: what a request with `wildcards` may name; None: nothing. What it draws is checked
            with its seed, or with 0 if it has none.
        sent: the fields that the client has sent, which faults name first; None: all of the body.
        loras: what its prompts get besides. They do not count for the length of a prompt.
        combinations: those of a comparison of models or presets, each filled by itself.

    Raises:
        InvalidRequest: with the faults of all fields, and of fields together.
    """
    limits, models = limits or Limits(), models or InstalledModels()
    body = _without_nulls(body)
    job_type, *faults = type_named(body.get("type", default_type))
    schema = SCHEMAS[kind][job_type]
    body = _completed(body, job_type)
    try:
        request = schema.model_validate(body, context={"limits": limits})
    except ValidationError as error:
        faults += faults_of(error, schema, body, _other_schemas(kind))
        request = _valid_part(schema, body, faults)
        if kind != "upscale":
            # the schema knows the bounds of all models and settings, not those of these
            generation = None if isinstance(request, Upscale) else request
            side = expected_side(generation, limits, models)
            count = f"an integer from 1 up to {min(MAX_COUNT, limits.max_images)}"
            bounds = {"H": side, "W": side, "n_iter": count, "n_samples": count}
            faults = [
                replace(fault, expected=bounds.get(fault.field, fault.expected)) for fault in faults
            ]
    wrong = {fault.field for fault in faults}
    if isinstance(request, Upscale):
        faults += upscale_faults(request, wrong, limits)
    elif request is not None:
        compared = request.vary or {}
        request, of_values = read_comparison(request, limits)
        if of_values:
            faults += of_values
            wrong |= {"vary", *compared}
        request = loras.to_request(request)
        if combinations and request.vary and not faults:
            request, of_values = _with_filled(request, combinations, limits)
            faults += of_values
        context = RuleContext(
            request=request,
            body_fields=frozenset(body if sent is None else sent),
            limits=limits,
            models=models,
            prompt_files=prompt_files or PromptFiles(),
            additions=additions,
            wildcards=Wildcards(wildcards or WildcardFiles()),
            loras=loras,
        )
        faults += rule_faults(context, wrong, [each.loras for each in combinations])
    if faults or request is None:
        raise InvalidRequest(tuple(faults))
    return request


def _completed(body: dict[str, Any], job_type: JobType) -> dict[str, Any]:
    body = {**body, "type": job_type}
    return {"sampler": "plms", **body} if body.get("plms") is True else body


def _with_filled(
    request: Request, combinations: Sequence[FilledBody], limits: Limits
) -> tuple[Request, list[Fault]]:
    schema = type(request)

    def read(body: dict[str, Any]) -> Request:
        body = _completed(_without_nulls(body), request.type) | without_inputs(schema)
        return schema.model_validate(body, context={"limits": limits})

    try:
        return with_filled(request, combinations, read), []
    except ValidationError as error:
        return request, [*faults_of(error, schema, {})]


def _without_nulls(body: dict[str, Any]) -> dict[str, Any]:
    """The body without the parameters that are null; an unknown field stays, to be refused."""
    known = {
        name
        for of_types in SCHEMAS.values()
        for each in of_types.values()
        for name in fields_of(each)
    } - NULL_HAS_A_MEANING
    return {name: value for name, value in body.items() if value is not None or name not in known}


def type_named(named: object) -> tuple[JobType, *tuple[Fault, ...]]:
    """The type that a body names; if there is none of that name, WIDEST and the fault."""
    for job_type in JOB_TYPES:
        if named == job_type:
            return (job_type,)
    fault = Fault(
        field="type",
        code="enum",
        value=safe_value("type", named),
        problem="is not one of the choices",
        expected="one of: " + ", ".join(JOB_TYPES),
    )
    return (WIDEST, fault)


def _other_schemas(kind: JobKind) -> dict[str, OtherSchema]:
    """For the fields of all schemas, one that has the field in case a schema of `kind` lacks it."""
    found: dict[str, OtherSchema] = {}
    # of a field that several kinds have, the last one is named
    for endpoint in ("upscale", *get_args(GenerationKind)):
        for schema in SCHEMAS[endpoint].values():
            found |= dict.fromkeys(
                fields_of(schema), OtherSchema(endpoint, f"a POST to /{endpoint}")
            )
    for job_type, schema in SCHEMAS[kind].items():
        other = OtherSchema(f"the type {job_type}", f"type {job_type}")
        found |= dict.fromkeys(fields_of(schema), other)
    return found


def _valid_part(
    schema: type[AnyRequest], body: dict[str, Any], faults: list[Fault]
) -> AnyRequest | None:
    """The request without its faulty fields, so that the rules can check the others."""
    wrong = {fault.field for fault in faults} - {"type"}
    known = fields_of(schema).keys()
    rest = {name: value for name, value in body.items() if name in known - wrong}
    try:
        return schema.model_validate(rest | without_inputs(schema))
    except ValidationError:
        return None
