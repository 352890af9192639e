"""Who sends a request."""

from collections.abc import Iterable

from flask import Request

from api.auth import Caller, header_keys
from api.dialect import Services
from api.errors import Unauthorized
from api.http.json_object import JsonObject
from api.http.places import client_of
from api.refusals import note_caller


def caller_of(services: Services, request: Request) -> Caller:
    """The sender of a request with a key in a header, whose body has not been read.

    Raises:
        Unauthorized: no known key.
        TooManyWrongKeys: no known key, and its address has sent too many wrong ones.
    """
    keys = [key for key in header_keys(request) if key]
    if not keys:
        raise Unauthorized(
            "no API key: send it as Authorization: Bearer <key>, or as the password of Basic"
        )
    try:
        return authenticated(services, request, keys)
    except Unauthorized:
        raise Unauthorized("the API key is not known here: see API_KEYS of the service") from None


def read_request(services: Services, request: Request) -> tuple[Caller, JsonObject]:
    """The sender of such a request, and the JSON object of its body, which is read after the key.

    Raises:
        What `caller_of` and BodyReader.read raise.
    """
    caller = caller_of(services, request)
    return caller, services.bodies.read(request, caller.submitter)


def authenticated(services: Services, request: Request, candidates: Iterable[object]) -> Caller:
    """The caller that sent these values as keys. A wrong key counts against its address.

    Raises Unauthorized, TooManyWrongKeys.
    """
    try:
        return note_caller(services.keys.authenticate(candidates))
    except Unauthorized:
        services.wrong_keys.count(client_address(request))
        raise


def client_address(request: Request) -> str:
    """The address that wrong keys count against.

    Behind proxies it is the one that the outermost trusted one has seen (TRUSTED_PROXIES).
    """
    return client_of(request.remote_addr or "")
