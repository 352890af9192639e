"""What can be wrong with a request, beyond the faults of its fields (jobs.errors).

`api.handlers` alone knows the HTTP codes.
"""


class ApiError(Exception):
    """The root; its text is the answer's `error`.

    ApiError
    ├── Unauthorized      no key, or none that is known
    ├── UnreadableBody    not one JSON object in UTF-8
    ├── NotJson           the body says that it is something else
    ├── BodyTooLarge      over the limit
    ├── BodyTooSlow       it did not come whole in time
    ├── TooManyRequests   the key submits more often than it may
    ├── TooManyStreams    no thread is left for another stream of events
    ├── NoSuchImage       the job has no such picture
    ├── NoSuchTemplate    there is no template of this name
    ├── NoSuchPage        the pages have no such file
    └── NobodyServes      no worker takes this type of job
    """


class Unauthorized(ApiError):
    """The request carries no key, or none that is known."""


class UnreadableBody(ApiError):
    """The body is not one JSON object in UTF-8, each key once, within the depth."""


class NotJson(ApiError):
    """The Content-Type is not JSON."""


class BodyTooLarge(ApiError):
    """The body is longer than the limit."""


class BodyTooSlow(ApiError):
    """The client did not send the whole body in time, or went away before."""


class TooManyRequests(ApiError):
    """The key submits more often than it may; in `retry_after` seconds it may again."""

    def __init__(self, rate: str, *, retry_after: int) -> None:
        super().__init__(f"this key may submit {rate}: try again in {retry_after} seconds")
        self.retry_after = retry_after


class TooManyStreams(ApiError):
    """No thread is left for another stream of events."""

    def __init__(self, streams: int) -> None:
        super().__init__(f"{streams} streams of events are open, as many as may be: ask /status")


class NoSuchImage(ApiError):
    """The job is known, but has no such picture, or not yet."""


class NoSuchTemplate(ApiError):
    """There is no template of this name."""


class NoSuchPage(ApiError):
    """The pages have no file of this name."""


class NobodyServes(ApiError):
    """No worker serves the type of the job."""
