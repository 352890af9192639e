"""Who sends a request, and its body."""

from flask import Request

from api.auth import Caller
from api.caller import caller_of
from api.dialect import Services
from api.http.json_object import JsonObject
from api.operations import KEYS

__all__ = ["KEYS", "caller_of", "read_request"]


def read_request(services: Services, request: Request) -> tuple[Caller, JsonObject]:
    """The sender of a request and the JSON object of its body, which is read after the key.

    Raises:
        What `caller_of` and BodyReader.read raise.
    """
    caller = caller_of(services, request)
    return caller, services.bodies.read(request, caller.submitter)
