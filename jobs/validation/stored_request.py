"""The request of a record, which another version may have written."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from jobs.errors import InvalidRequest
from jobs.names import JobKind
from jobs.parameters.comparison import COMBINATIONS
from jobs.parameters.schemas import SCHEMAS, AnyRequest, fields_of, without_inputs
from jobs.parameters.upscale import Upscale
from jobs.pictures.inputs import INPUT_ROLES
from jobs.validation.request import type_named
from jobs.validation.validation_faults import faults_of


def read_stored(
    kind: JobKind, stored: dict[str, Any], inputs: Sequence[str] | None = None
) -> AnyRequest:
    """Read the request of a record.

    A field that the type no longer has is ignored, and one that the record lacks has its default.

    Args:
        kind: the kind of its endpoint.
        stored: as of `NewJob.stored_request`.
        inputs: the roles of its pictures; None: not recorded, so those that its schema requires.

    Raises:
        InvalidRequest: it cannot be read.
    """
    job_type, *faults = type_named(stored.get("type"))
    if faults:
        raise InvalidRequest(tuple(faults))
    schema = SCHEMAS[kind][job_type]
    body = {name: value for name, value in stored.items() if name in fields_of(schema)}
    roles = {row.field: b"" for role, row in INPUT_ROLES.items() if role in (inputs or ())}
    try:
        request = schema.model_validate(body | without_inputs(schema) | roles)
    except ValidationError as error:
        raise InvalidRequest(faults_of(error, schema, stored)) from error
    if isinstance(request, Upscale):
        return request
    return request.with_differing(stored.get(COMBINATIONS, ()))
