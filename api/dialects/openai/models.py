"""GET /v1/models and /v1/models/<id>: the installed models."""

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from api.caller import caller_of
from api.dialect import Services
from api.dialects.openai.error_json import OpenAIError
from api.dialects.openai.model_names import find_model, installed
from api.dialects.openai.response_models import Model, ModelList
from api.operations import KEYS, ApiResponse, Operation, Parameter

CREATED = 1_661_126_400
"""When Stable Diffusion was published (2022-08-22): workers know no date of a model."""
OWNER = "stable-diffusion"
ERRORS = (401, 429, 503)
MODEL = Parameter(name="model_id", where="path", description="an id of the list")


def model_routes(services: Services) -> Blueprint:
    """The routes about models. They need a key, as programs check a key by them."""
    routes = Blueprint("models", __name__)
    jobs = services.jobs

    @routes.get("/models")
    @Operation(
        responses={200: ApiResponse(description="the models of all workers", body=ModelList)},
        errors=ERRORS,
        error=OpenAIError,
        keys=KEYS,
    )
    def models() -> ResponseReturnValue:
        """The installed models, the default model first."""
        caller_of(services, request)
        names = installed(jobs.served(), jobs.default_model)
        return ModelList(data=[_model(name) for name in names]).model_dump()

    @routes.get("/models/<path:model_id>")
    @Operation(
        responses={200: ApiResponse(description="the model", body=Model)},
        errors=(*ERRORS, 404),
        error=OpenAIError,
        parameters=(MODEL,),
        keys=KEYS,
    )
    def model(model_id: str) -> ResponseReturnValue:
        """One installed model, also by another of its names."""
        caller_of(services, request)
        return _model(find_model(model_id, jobs.served(), jobs.default_model)).model_dump()

    return routes


def _model(name: str) -> Model:
    return Model(id=name, created=CREATED, owned_by=OWNER)
