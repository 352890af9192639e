"""Addresses of A1111 for which there is nothing here; the answer says so in its shape."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from werkzeug import exceptions

from api.dialect import Services
from api.dialects.a1111.authentication import KEYS, caller_of
from api.dialects.a1111.error_json import A1111Error
from api.dialects.a1111.operation_parts import WITHOUT_BODY
from api.operations import ApiResponse, Operation

NO_CAPTIONS = ApiResponse(description="there is no model that describes pictures", body=A1111Error)


def absent_routes(services: Services) -> Blueprint:
    """The routes below /sdapi/v1."""
    routes = Blueprint("absent", __name__)

    @routes.post("/interrogate")
    @Operation(responses={501: NO_CAPTIONS}, errors=WITHOUT_BODY, error=A1111Error, keys=KEYS)
    def interrogate() -> ResponseReturnValue:
        """Describing a picture in words is not possible here."""
        caller_of(services, request)
        raise exceptions.NotImplemented("there is no model that describes pictures here")

    return routes


def controlnet_routes() -> Blueprint:
    """The routes of the extension ControlNet, which A1111 has not without the extension either."""
    routes = Blueprint("controlnet", __name__)

    @Operation(responses={}, errors=(404,), error=A1111Error)
    def absent() -> ResponseReturnValue:
        """There is no ControlNet here."""
        raise exceptions.NotFound("Not Found")

    for name in ("version", "model_list", "module_list"):
        routes.get(f"/controlnet/{name}", endpoint=name)(absent)
    return routes
