"""What the descriptions of this dialect's routes share."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from api.dialects.a1111.error_json import A1111Error
from api.operations import KEYS, ApiResponse, Operation, Parameter

WITHOUT_BODY = (401, 429, 503)
"""The status codes of errors of a route that reads no body."""
WITH_BODY = (401, 408, 413, 415, 422, 429, 503)


class Warnings(BaseModel):
    """The answer of a route that changes something and returns nothing else."""

    warnings: list[str] = []


def described(
    answer: type[BaseModel] | None = None,
    *,
    description: str = "the answer",
    body: type[BaseModel] | None = None,
    parameters: tuple[Parameter, ...] = (),
    responses: Mapping[int, ApiResponse] | None = None,
) -> Operation:
    """The Operation of a route that needs a key and answers 200.

    Args:
        answer: the schema of its JSON.
        description: of the answer.
        body: the schema of its JSON body; None: it reads none.
        parameters: of its query.
        responses: further answers by status code.
    """
    more: dict[int, Any] = dict(responses or {})
    return Operation(
        responses={200: ApiResponse(description=description, body=answer)} | more,
        errors=WITH_BODY if body else WITHOUT_BODY,
        error=A1111Error,
        parameters=parameters,
        body=body,
        keys=KEYS,
    )
