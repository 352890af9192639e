"""The Idempotency-Key header, which marks a request as a repetition of an earlier one."""

import re

from werkzeug.datastructures import Headers

from api.operations import Parameter
from jobs.errors import Fault, InvalidRequest
from jobs.validation.validation_faults import safe_value

NAME = "Idempotency-Key"
_KEY = re.compile(r"^[!-~]{1,255}$")
IDEMPOTENCY_KEY = Parameter(
    name=NAME,
    where="header",
    description="any text: the same key with the same body returns the same job",
    schema={"type": "string", "pattern": _KEY.pattern},
)


def idempotency_key(headers: Headers) -> str | None:
    """The key of a request; None if it has none. Raises InvalidRequest."""
    key = headers.get(NAME)
    if key is None or _KEY.fullmatch(key):
        return key
    fault = Fault(
        field=NAME,
        code="not_a_key",
        value=safe_value(NAME, key),
        problem="is not an idempotency key",
        expected="1 to 255 printable ASCII characters without spaces",
    )
    raise InvalidRequest((fault,))
