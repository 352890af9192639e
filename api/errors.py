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
    ├── NoSuchImage       the job has no such picture
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


class NoSuchImage(ApiError):
    """The job is known, but has no such picture, or not yet."""


class NobodyServes(ApiError):
    """No worker serves the type of the job."""
