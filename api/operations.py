"""What a route declares about itself. `api.openapi` makes the OpenAPI documents of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from jobs.names import JobKind
from jobs.pictures.output_formats import MEDIA_TYPES

PICTURES = tuple(MEDIA_TYPES.values())
KEYS = ("header", "bearer", "basic")
"""The security schemes of a header (`api.auth.header_keys`); `api.openapi` describes them."""

View = TypeVar("View", bound=Callable[..., Any])
_ATTRIBUTE = "operation"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A part of the path or of the query, or a header."""

    name: str
    where: Literal["path", "query", "header"]
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, kw_only=True)
class ApiResponse:
    """The response of one status code.

    Attributes:
        description: a sentence.
        body: the schema of its JSON, if it may be JSON.
        media: other media types that its body may have.
        event: the schema of the JSON in a Server-Sent Event that is not the body of another route.
        headers: the headers worth knowing, each with its meaning.
        job: its `task_id` names a job.
    """

    description: str
    body: type[BaseModel] | None = None
    media: tuple[str, ...] = ()
    event: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    job: bool = False


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A route as a client sees it; used as a decorator. The view's docstring describes it.

    Attributes:
        responses: by status code, without errors.
        errors: the status codes of its errors; 500 is added.
        error: the schema of its errors; None: the native dialect's.
        parameters: all those of its path and query, and the headers it reads.
        body: the schema of its body, or the kind of native request; None for no body. A file of a
            form is a field of bytes.
        media: the media types that a body with a schema may have, such as multipart/form-data.
        keys: the security schemes of which one is needed; empty: no key.
        summary: used if the view has no docstring.
    """

    responses: Mapping[int, ApiResponse]
    errors: tuple[int, ...] = ()
    error: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    body: JobKind | type[BaseModel] | None = None
    media: tuple[str, ...] = ("application/json",)
    keys: tuple[str, ...] = ()
    summary: str = ""

    def __call__(self, view: View) -> View:
        """Attach this to a view."""
        view.__dict__[_ATTRIBUTE] = self
        return view


def operation_of(view: Callable[..., Any]) -> Operation:
    """What a view declares. Raises KeyError if it declares nothing."""
    return view.__dict__[_ATTRIBUTE]


JOB_ID = Parameter(name="job_id", where="path", description="the `task_id` of a job")
PICTURE_RESPONSES: dict[int, ApiResponse] = {
    200: ApiResponse(
        description="the picture",
        media=PICTURES,
        headers={"ETag": "of this picture", "Link": "the other pictures of the job"},
    ),
    206: ApiResponse(
        description="the bytes that `Range` selects",
        media=PICTURES,
        headers={"Content-Range": "the position of these bytes"},
    ),
    304: ApiResponse(description="the client's copy is current"),
}
_RETRY = {"Retry-After": "seconds after which to try again"}
ERRORS: dict[int, ApiResponse] = {
    400: ApiResponse(description="the body, or a field of it, is invalid"),
    401: ApiResponse(
        description="no known API key", headers={"WWW-Authenticate": "how to send a key"}
    ),
    404: ApiResponse(description="there is no such thing"),
    408: ApiResponse(description="the body did not arrive in time"),
    409: ApiResponse(
        description="the job has ended already, or the Idempotency-Key belongs to another body"
    ),
    410: ApiResponse(description="the job has expired, or its picture is no longer stored"),
    413: ApiResponse(description="the body is too large"),
    415: ApiResponse(description="the Content-Type is not JSON, or the Content-Encoding not gzip"),
    416: ApiResponse(description="the picture has no such range of bytes"),
    421: ApiResponse(description="the Host header names another service"),
    422: ApiResponse(description="the body, or a field of it, is invalid"),
    429: ApiResponse(
        description="the key submits too often, has too many jobs waiting, or they take too much "
        "memory, or the address has sent too many wrong keys",
        headers=_RETRY,
    ),
    500: ApiResponse(description="an internal error"),
    503: ApiResponse(
        description="Redis does not answer, the queue is full, no worker serves the type, too many "
        "event streams are open, large bodies are being received, or a later version wrote the "
        "job's record",
        headers=_RETRY,
    ),
    504: ApiResponse(description="the images are not ready after SYNC_TIMEOUT seconds"),
}
