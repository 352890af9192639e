"""Who sends a request, in dialects whose key is in a header."""

from flask import Request

from api.auth import Caller, header_keys
from api.dialect import Services
from api.errors import Unauthorized
from api.http.client_address import client_address
from api.refusals import note_caller


def caller_of(services: Services, request: Request) -> Caller:
    """The sender of a request, whose body has not been read.

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
        return note_caller(services.keys.authenticate(keys))
    except Unauthorized:
        services.wrong_keys.count(client_address(request))
        raise Unauthorized("the API key is not known here: see API_KEYS of the service") from None
