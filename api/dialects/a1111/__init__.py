"""AUTOMATIC1111's dialect, below /sdapi/v1: of webuiapi, SillyTavern, Open WebUI and others."""

from flask import Blueprint

from api.dialect import Services
from api.dialects.a1111.absent import absent_routes, controlnet_routes
from api.dialects.a1111.empty_lists import empty_list_routes
from api.dialects.a1111.error_json import error_response
from api.dialects.a1111.extras import extras_routes
from api.dialects.a1111.img2img import img2img_routes
from api.dialects.a1111.interrupt import interrupt_routes
from api.dialects.a1111.lists import list_routes
from api.dialects.a1111.memory import memory_routes
from api.dialects.a1111.options import option_routes
from api.dialects.a1111.png_info import png_info_routes
from api.dialects.a1111.progress import progress_routes
from api.dialects.a1111.txt2img import txt2img_routes
from api.http_errors import register_error_handlers

PREFIX = "/sdapi/v1"
ROUTES = (
    txt2img_routes,
    img2img_routes,
    extras_routes,
    option_routes,
    progress_routes,
    interrupt_routes,
    list_routes,
    empty_list_routes,
    png_info_routes,
    memory_routes,
    absent_routes,
)


def blueprint(services: Services) -> Blueprint:
    """All routes of the dialect."""
    sdapi = Blueprint("sdapi", __name__, url_prefix=PREFIX)
    for routes in ROUTES:
        sdapi.register_blueprint(routes(services))
    a1111 = Blueprint("a1111", __name__)
    register_error_handlers(a1111, error_response)
    a1111.register_blueprint(sdapi)
    a1111.register_blueprint(controlnet_routes())
    return a1111
