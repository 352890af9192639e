"""Errors → JSON: one shape for all of them."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field

from api.http_errors import HttpError
from jobs.errors import Fault


class FaultDetail(BaseModel):
    """One thing wrong with one field, and what would be right."""

    field: str
    code: str = Field(description="stable, for programs")
    value: Any = Field(description="what was sent, shortened; never a key, never a picture")
    problem: str
    expected: str


class Error(BaseModel):
    """The shape of every error."""

    error: str = Field(description="a sentence that names every fault")
    details: list[FaultDetail] = Field(description="every fault of the body; else empty")


def error_response(error: HttpError) -> ResponseReturnValue:
    """The answer to a request that failed."""
    return error_body(error.message, error.faults), error.status, list(error.headers)


def error_body(message: str, faults: Sequence[Fault] = ()) -> dict[str, Any]:
    """The JSON of an error, as `Error` describes it."""
    return {"error": message, "details": [asdict(fault) for fault in faults]}
