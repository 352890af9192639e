"""AUTOMATIC1111's dialect, below /sdapi/v1: of webuiapi, SillyTavern, Open WebUI and others."""

from flask import Blueprint

from api.dialect import Services
from api.dialects.a1111.error_json import error_response
from api.dialects.a1111.extras import extras_routes
from api.dialects.a1111.img2img import img2img_routes
from api.dialects.a1111.txt2img import txt2img_routes
from api.http_errors import register_error_handlers

PREFIX = "/sdapi/v1"


def blueprint(services: Services) -> Blueprint:
    """All routes of the dialect."""
    a1111 = Blueprint("a1111", __name__, url_prefix=PREFIX)
    register_error_handlers(a1111, error_response)
    a1111.register_blueprint(txt2img_routes(services))
    a1111.register_blueprint(img2img_routes(services))
    a1111.register_blueprint(extras_routes(services))
    return a1111
