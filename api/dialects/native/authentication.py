"""Where a native request may carry its API key: in a header, or in its JSON body."""

from typing import Any

from flask import Request

from api.auth import Caller, header_keys
from api.caller import authenticated, client_address
from api.dialect import Services
from api.errors import Unauthorized


def read_request(
    services: Services, request: Request, *, query_key: str | None = None, needs_body: bool = False
) -> tuple[Caller, dict[str, Any]]:
    """The sender of a request, and the JSON object of its body.

    A key in a header, or in the query where a route takes it there, is judged before the body is
    read; then the body's key does not count. Otherwise the body must be read to find the key, which
    an address that has sent too many wrong keys may not ask for.

    Removes `api_key` from the body, so that the key is not stored. A value that cannot be a key
    stays, so that it is reported with the body's other faults once a header has let the request in.

    Args:
        services: know the keys, and read bodies.
        request: its body has not been read.
        query_key: the key in the query.
        needs_body: a request without a Content-Type is refused.

    Raises:
        Unauthorized: no known key.
        TooManyWrongKeys: no known key, and its address has sent too many wrong ones.
        What BodyReader.read raises.
    """
    has_body = needs_body or (bool(request.mimetype) and _sends_body(request))
    if sent := [key for key in (*header_keys(request), query_key) if key]:
        caller = authenticated(services, request, sent)
        body = services.bodies.read(request, caller.submitter) if has_body else {}
        if isinstance(body.get("api_key"), str | None):
            body.pop("api_key", None)
        return caller, body
    if not has_body:
        raise Unauthorized("Unauthorized")
    address = client_address(request)
    services.wrong_keys.check(address)
    body = services.bodies.read(request, address)
    return authenticated(services, request, [body.pop("api_key", None)]), body


def _sends_body(request: Request) -> bool:
    """False for a DELETE of a library that names a Content-Type and sends nothing."""
    return bool(request.content_length) or "Transfer-Encoding" in request.headers
