"""What can be wrong with a request beyond `jobs.errors`: keys, bodies, rates, missing things.

`api.http_errors` maps them to HTTP status codes.
"""


class ApiError(Exception):
    """The root; its text is the message to the client.

    ApiError
    ├── Unauthorized      no API key, or an unknown one
    ├── UnreadableBody    not one JSON object in UTF-8
    ├── NotJson           the Content-Type is not JSON
    ├── BodyTooLarge      over the limit
    ├── BodyTooSlow       the body did not arrive in time
    ├── TooManyRequests   the key is over its rate limit
    ├── TooManyStreams    as many event streams are open as may be
    ├── NoSuchImage       the job has no such picture
    ├── NoSuchTemplate    there is no template of this name
    ├── NoSuchPage        the pages have no such file
    └── NoWorkerForType   no worker serves the job's type
    """


class Unauthorized(ApiError):
    """The request carries no API key, or an unknown one."""


class UnreadableBody(ApiError):
    """The body is not one JSON object in UTF-8 with unique keys and limited depth."""


class NotJson(ApiError):
    """The Content-Type is not JSON."""


class BodyTooLarge(ApiError):
    """The body is longer than the limit."""


class BodyTooSlow(ApiError):
    """The client did not send the whole body in time, or disconnected."""


class TooManyRequests(ApiError):
    """The key is over its rate limit; after `retry_after` seconds it may submit again."""

    def __init__(self, rate: str, *, retry_after: int) -> None:
        super().__init__(f"this key may submit {rate}: try again in {retry_after} seconds")
        self.retry_after = retry_after


class TooManyStreams(ApiError):
    """As many event streams are open as the settings allow."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} event streams are open, which is the limit: poll /status")


class NoSuchImage(ApiError):
    """The job exists, but has no such picture, or not yet."""


class NoSuchTemplate(ApiError):
    """There is no template of this name."""


class NoSuchPage(ApiError):
    """The pages have no file of this name."""


class NoWorkerForType(ApiError):
    """No worker serves the type of the job."""
