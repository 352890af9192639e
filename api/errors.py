"""What can be wrong with a request beyond `jobs.errors`: keys, bodies, rates, missing things.

`api.http_errors` maps them to HTTP status codes.
"""

from api.http.places import Refusal
from jobs.status import Failure


class ApiError(Exception):
    """The root; its text is the message to the client.

    ApiError
    ├── Unauthorized      no API key, or an unknown one
    ├── UnreadableBody    not one JSON object in UTF-8, or no form
    ├── NotJson           the Content-Type is not JSON, or no form where one may be sent
    ├── UnknownEncoding   the Content-Encoding is not read
    ├── BodyTooLarge      over the limit
    ├── BodyTooSlow       the body did not arrive in time
    ├── TooManyBodies     the other large bodies leave no room for this one
    ├── TooManyRequests   the key is over its rate limit
    ├── TooManyWrongKeys  the address has sent too many wrong keys
    ├── TooManyStreams    as many event streams are open as may be
    ├── NoSuchImage       the job has no such picture
    ├── NoWebhookSecret   API keys have no secrets of their own
    ├── NoSuchTemplate    there is no template of this name
    ├── NoSuchDocument    no dialect of this name has an OpenAPI document
    ├── NoSuchPage        the pages have no such file
    ├── UnknownHost       the Host header names another service
    ├── NoWorkerForType   no worker serves the job's type
    └── NoImages          a client has waited for a job, and there are no images
        ├── JobCancelled      it was cancelled
        ├── JobFailed         it failed
        ├── JobImpossible     it failed because of its request
        ├── NotReady          it has not ended in time
        ├── NoPlaceToWait     as many clients wait as may
        ├── NoShareToWait     as many clients of this key or address wait as may
        └── ClientGone        the client has closed the connection
    """


class Unauthorized(ApiError):
    """The request carries no API key, or an unknown one."""


class UnreadableBody(ApiError):
    """Not one JSON object in UTF-8 with unique keys and limited depth, or no valid form."""


class NotJson(ApiError):
    """The Content-Type is not JSON, or not that of a form where one may be sent."""


class UnknownEncoding(ApiError):
    """The Content-Encoding is not one that is read."""


class BodyTooLarge(ApiError):
    """The body is longer than the limit."""


class BodyTooSlow(ApiError):
    """The client did not send the whole body in time, or disconnected."""


class TooManyBodies(ApiError):
    """As many large bodies are being received as fit into the memory for them."""


class TooManyRequests(ApiError):
    """The key is over its rate limit; after `retry_after` seconds it may submit again."""

    def __init__(self, rate: str, *, retry_after: int) -> None:
        super().__init__(f"this key may submit {rate}: try again in {retry_after} seconds")
        self.retry_after = retry_after


class TooManyWrongKeys(ApiError):
    """An address has sent too many wrong keys; after `retry_after` seconds it may try again."""

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(
            f"too many requests with a wrong API key came from this address: try again in "
            f"{retry_after} seconds, or send a right key in the header X-API-Key"
        )
        self.retry_after = retry_after


class TooManyStreams(ApiError):
    """As many event streams are open as the settings allow, or as one client may have."""

    def __init__(self, limit: int, share: int, refusal: Refusal) -> None:
        whose = "" if refusal == "full" else " to this job, its key or your address"
        allowed = limit if refusal == "full" else share
        super().__init__(
            f"{allowed} event streams{whose} are open, which is the limit: poll /status"
        )


class NoSuchImage(ApiError):
    """The job exists, but has no such picture, or not yet."""


class NoWebhookSecret(ApiError):
    """The service gives API keys no webhook secrets of their own."""


class NoSuchTemplate(ApiError):
    """There is no template of this name."""


class NoSuchDocument(ApiError):
    """No dialect of this name has an OpenAPI document."""


class NoSuchPage(ApiError):
    """The pages have no file of this name."""


class NoWorkerForType(ApiError):
    """No worker serves the type of the job."""


class UnknownHost(ApiError):
    """The Host header has a name that is not this service's."""


class NoImages(ApiError):
    """A client has waited for a job, and there are no images.

    Attributes:
        code: for programs; None: the dialect has one for the HTTP status.
        final: the same request would have the same end.
    """

    code: str | None = None
    final = False


class JobCancelled(NoImages):
    """The job was cancelled."""

    code = "cancelled"
    final = True

    def __init__(self) -> None:
        super().__init__("the job was cancelled")


class JobFailed(NoImages):
    """The job failed, for a reason that its request does not name."""

    final = True

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.code = failure.code


class JobImpossible(JobFailed):
    """The job failed because of its request."""


class NotReady(NoImages):
    """The job has not ended in time.

    Args:
        seconds: how long a request may wait.
        job_id: the job.
        again: what the same request must have to wait on; empty: the job was cancelled.
    """

    code = "timeout"

    def __init__(self, seconds: float, job_id: str, *, again: str) -> None:
        then = "the job is cancelled:"
        if again:
            then = f"to wait on send the request again, with its {again}; the job is"
        super().__init__(
            f"the images are not ready after {seconds:g} s (SYNC_TIMEOUT); {then} /status/{job_id}"
        )
        self.final = not again


class NoPlaceToWait(NoImages):
    """As many clients wait for their images as may."""

    def __init__(self) -> None:
        super().__init__("too many requests are waiting for their images: try again later")


class NoShareToWait(NoImages):
    """As many clients of one key or address wait for their images as may."""

    def __init__(self) -> None:
        super().__init__(
            "too many requests of this key or address are waiting for their images: try again when "
            "one of them has ended"
        )


class ClientGone(NoImages):
    """The client has closed the connection; nobody reads the answer."""

    def __init__(self) -> None:
        super().__init__("the client has closed the connection")
