"""Where a native request may carry its API key: X-API-Key, a Bearer token, or its JSON body."""

from typing import Any

from flask import Request

from api.auth import Caller, KeyRing, header_keys


def require_key(keys: KeyRing, request: Request, body: dict[str, Any]) -> Caller:
    """The caller, if a header or the body carries a known key.

    Removes `api_key` from `body`, so that the key is not stored. A value that cannot be a key
    stays, so that it is reported with the body's other faults once a header has let the request in.

    Raises:
        Unauthorized.
    """
    candidates: list[object] = [*header_keys(request)]
    if isinstance(body.get("api_key"), str):
        candidates.append(body.pop("api_key"))
    return keys.authenticate(candidates)
