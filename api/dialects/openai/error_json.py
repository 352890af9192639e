"""Errors → JSON in OpenAI's shape, by which its SDKs choose the exception to raise."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from api.dialects.openai.field_names import suggestion
from api.dialects.openai.model_names import NOT_FOUND
from api.http_errors import HttpError
from jobs.errors import Fault

NO_RETRY = ("X-Should-Retry", "false")
"""OpenAI's SDKs repeat requests that failed with some codes; not with this header."""
_TYPE_OF_STATUS: dict[int, str] = {HTTPStatus.TOO_MANY_REQUESTS: "requests"}
_CODE_OF_STATUS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "invalid_api_key",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_exceeded",
    HTTPStatus.SERVICE_UNAVAILABLE: "service_unavailable",
}
_CODE_OF_FAULT = {
    "missing": "missing_required_parameter",
    "unknown_field": "unknown_parameter",
    "not_for_this_type": "unknown_parameter",
    "type": "invalid_type",
    NOT_FOUND: NOT_FOUND,
}


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str = Field(description="a sentence that names every fault")
    type: str = Field(description="invalid_request_error, requests or server_error")
    param: str | None = Field(description="the first faulty field")
    code: str | None = Field(description="for programs")


class OpenAIError(BaseModel):
    """The shape of every error."""

    error: ErrorDetail


def error_response(error: HttpError) -> ResponseReturnValue:
    """The answer to a request that failed."""
    status = HTTPStatus.NOT_FOUND if _all_not_found(error.faults) else error.status
    headers = [*error.headers, NO_RETRY] if error.final else list(error.headers)
    return error_body(error), status, headers


def error_body(error: HttpError) -> Mapping[str, Any]:
    """The JSON of an error."""
    first = error.faults[0] if error.faults else None
    code = _CODE_OF_FAULT.get(first.code, "invalid_value") if first else error.code
    usual_type = "server_error" if error.status >= 500 else "invalid_request_error"
    detail = ErrorDetail(
        message=" ".join(map(_sentence, error.faults)) or error.message,
        type=_TYPE_OF_STATUS.get(error.status, usual_type),
        param=first.field if first else None,
        code=code or _CODE_OF_STATUS.get(error.status),
    )
    return OpenAIError(error=detail).model_dump()


def _all_not_found(faults: tuple[Fault, ...]) -> bool:
    return bool(faults) and all(fault.code == NOT_FOUND for fault in faults)


def _sentence(fault: Fault) -> str:
    value = "" if fault.value is None else f" {fault.value!r}"
    expected = suggestion(fault.expected)
    end = "" if expected.endswith("?") else "."
    if not expected.startswith("did you mean"):
        expected = f"expected {expected}"
    return f"{fault.field}:{value} {fault.problem}; {expected}{end}"
