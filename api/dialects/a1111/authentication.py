"""Who sends a request: the key is the password of Basic authentication, or a Bearer token."""

from flask import Request

from api.auth import Caller, header_keys
from api.client_address import client_address
from api.dialect import Services
from api.errors import Unauthorized
from api.json_object import JsonObject
from api.operations import KEYS

__all__ = ["KEYS", "caller_of", "read_request"]


def caller_of(services: Services, request: Request) -> Caller:
    """The sender of a request.

    Raises:
        Unauthorized: no known key.
        TooManyWrongKeys: no known key, and its address has sent too many wrong ones.
    """
    keys = [key for key in header_keys(request) if key]
    try:
        return services.keys.authenticate(keys)
    except Unauthorized:
        if keys:
            services.wrong_keys.count(client_address(request))
        raise


def read_request(services: Services, request: Request) -> tuple[Caller, JsonObject]:
    """The sender of a request and the JSON object of its body, which is read after the key.

    Raises:
        What `caller_of` and BodyReader.read raise.
    """
    caller = caller_of(services, request)
    return caller, services.bodies.read(request, caller.submitter)
