"""Errors → JSON, as AUTOMATIC1111 and its FastAPI write them."""

from http import HTTPStatus
from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from api.http_errors import HttpError
from jobs.errors import Fault

CHALLENGE = 'Basic realm="API key as the password", Bearer'
_INVALID = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


class InvalidField(BaseModel):
    """One thing wrong with one field."""

    loc: list[str] = Field(description="`body`, then the field as it was written")
    msg: str
    type: str = Field(description="stable, for programs")
    input: Any = Field(description="what was sent, shortened; never a picture")


class A1111Error(BaseModel):
    """The shape of every error."""

    error: str = Field(description="the sort of error")
    detail: str | list[InvalidField] = Field(description="a sentence, or every invalid field")
    body: str = Field(description="always empty")
    errors: str = Field(description="a sentence that names every fault")


def error_response(error: HttpError) -> ResponseReturnValue:
    """The answer to a request that failed. An invalid body is a 422, as of FastAPI."""
    invalid = error.status in _INVALID
    status = HTTPStatus.UNPROCESSABLE_ENTITY if invalid else error.status
    answer = {
        "error": "RequestValidationError" if invalid else "HTTPException",
        "detail": [_invalid_field(fault) for fault in error.faults] or error.message,
        "body": "",
        "errors": error.message,
    }
    headers = dict(error.headers)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = CHALLENGE
    return answer, status, headers


def _invalid_field(fault: Fault) -> dict[str, Any]:
    return InvalidField(
        loc=["body", *fault.field.split(".")],
        msg=f"{fault.problem}; expected: {fault.expected}",
        type=fault.code,
        input=fault.value,
    ).model_dump()
