"""What a route says of itself: an `Operation`, of which the OpenAPI document is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from api.answers import Error
from jobs.names import JobKind

PICTURES = ("image/png", "image/jpeg")
KEYS = ("header", "bearer")
"""The security schemes of a header; `api.openapi` says what they are."""

View = TypeVar("View", bound=Callable[..., Any])
_KEPT_AS = "operation"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A part of the path or of the query, or a header."""

    name: str
    where: Literal["path", "query", "header"]
    means: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one status code means.

    Attributes:
        means: a sentence.
        body: the schema of its JSON, if it may be JSON.
        media: other types that its body may have.
        event: the schema of the JSON of an event, if it is a stream of them and that of no body.
        headers: the headers worth knowing, each with what it means.
        job: it names a job in `task_id`.
    """

    means: str
    body: type[BaseModel] | None = None
    media: tuple[str, ...] = ()
    event: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    job: bool = False


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A route as a client sees it. The view's docstring says what it does.

    Attributes:
        answers: what it answers when all is well, by status code.
        errors: the status codes of its errors; 500 goes without saying.
        parameters: all those of its path and of its query, and the headers it heeds.
        body: the kind of request it takes as JSON; None for no body.
        keys: the security schemes of which one is needed; empty: no key.
        does: what it does, if the view has no docstring.
    """

    answers: Mapping[int, Answer]
    errors: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: JobKind | None = None
    keys: tuple[str, ...] = ()
    does: str = ""

    def __call__(self, view: View) -> View:
        """Attach this to a view: an operation is used as a decorator."""
        view.__dict__[_KEPT_AS] = self
        return view


def operation_of(view: Callable[..., Any]) -> Operation:
    """What a view says of itself. Raises KeyError when it says nothing."""
    return view.__dict__[_KEPT_AS]


JOB_ID = Parameter(name="job_id", where="path", means="the `task_id` of a job")
PICTURE_ANSWERS: dict[int, Answer] = {
    200: Answer(
        means="the picture",
        media=PICTURES,
        headers={"ETag": "of this picture", "Link": "the other pictures of the job"},
    ),
    206: Answer(
        means="the bytes asked for with `Range`",
        media=PICTURES,
        headers={"Content-Range": "which bytes they are"},
    ),
    304: Answer(means="the client has the picture already"),
}
_RETRY = {"Retry-After": "seconds after which to try again"}
ERRORS: dict[int, Answer] = {
    400: Answer(means="the body, or a field of it, is not as it should be", body=Error),
    401: Answer(
        means="no known key", body=Error, headers={"WWW-Authenticate": "how to send a key"}
    ),
    404: Answer(means="there is no such thing", body=Error),
    408: Answer(means="the body did not come whole in time", body=Error),
    409: Answer(
        means="the job has ended already, or the Idempotency-Key belongs to another body",
        body=Error,
    ),
    410: Answer(means="the job has expired, or its picture is no longer stored", body=Error),
    413: Answer(means="the body is too large", body=Error),
    415: Answer(means="the body does not say that it is JSON", body=Error),
    416: Answer(means="the picture has no such range of bytes", body=Error),
    429: Answer(
        means="the key submits too often, or has too many jobs waiting", body=Error, headers=_RETRY
    ),
    500: Answer(means="a fault of the service", body=Error),
    503: Answer(
        means="no broker, a full queue, nobody who serves the type, or too many streams",
        body=Error,
        headers=_RETRY,
    ),
}
