"""AUTOMATIC1111's dialect, below /sdapi/v1: of webuiapi, SillyTavern, Open WebUI and others."""

from flask import Blueprint

from api.dialect import Services
from api.dialects.a1111.error_json import error_response
from api.http_errors import register_error_handlers

PREFIX = "/sdapi/v1"


def blueprint(services: Services) -> Blueprint:
    """All routes of the dialect."""
    a1111 = Blueprint("a1111", __name__, url_prefix=PREFIX)
    register_error_handlers(a1111, error_response)
    return a1111
