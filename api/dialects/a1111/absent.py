"""Addresses of A1111 and its extensions for which there is nothing here; the answers say so."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict
from werkzeug.exceptions import NotFound

from api.caller import caller_of
from api.dialect import Services
from api.dialects.a1111.error_json import A1111Error
from api.dialects.a1111.operation_parts import WITHOUT_BODY
from api.operations import KEYS, ApiResponse, Operation


class ControlNetModels(BaseModel):
    """The ControlNets, of which there are none."""

    model_config = ConfigDict(protected_namespaces=())

    model_list: list[str] = []


class ControlNetModules(BaseModel):
    """The preprocessors, of which there are none."""

    module_list: list[str] = []


NO_CAPTIONS = ApiResponse(description="there is no model that describes pictures", body=A1111Error)


def absent_routes(services: Services) -> Blueprint:
    """The routes below /sdapi/v1."""
    routes = Blueprint("absent", __name__)

    @routes.post("/interrogate")
    @Operation(responses={404: NO_CAPTIONS}, errors=WITHOUT_BODY, error=A1111Error, keys=KEYS)
    def interrogate() -> ResponseReturnValue:
        """Describing a picture in words is not possible here."""
        caller_of(services, request)
        raise NotFound("there is no model that describes pictures here")

    return routes


def controlnet_routes() -> Blueprint:
    """The lists of the extension ControlNet. They need no key.

    Without a 200 the plugin for GIMP takes the whole server for one that is not running.
    """
    routes = Blueprint("controlnet", __name__, url_prefix="/controlnet")

    @routes.get("/model_list")
    @Operation(responses={200: ApiResponse(description="no models", body=ControlNetModels)})
    def model_list() -> ResponseReturnValue:
        """No ControlNet is installed."""
        return ControlNetModels().model_dump()

    @routes.get("/module_list")
    @Operation(responses={200: ApiResponse(description="no modules", body=ControlNetModules)})
    def module_list() -> ResponseReturnValue:
        """No preprocessor of ControlNet is installed."""
        return ControlNetModules().model_dump()

    return routes
