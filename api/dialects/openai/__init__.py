"""OpenAI's images API: /v1/images/generations, /v1/images/edits and /v1/models."""

from flask import Blueprint

from api.dialect import Services
from api.dialects.openai.error_json import error_response
from api.dialects.openai.images import image_routes
from api.dialects.openai.models import model_routes
from api.http_errors import register_error_handlers


def blueprint(services: Services) -> Blueprint:
    """All routes of the dialect."""
    openai = Blueprint("openai", __name__, url_prefix="/v1")
    register_error_handlers(openai, error_response)
    openai.register_blueprint(image_routes(services))
    openai.register_blueprint(model_routes(services))
    return openai
