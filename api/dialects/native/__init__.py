"""The service's own dialect: /generate, /img2img, /status, /events, /images, /recent, ..."""

from flask import Blueprint

from api.dialect import Services
from api.dialects.native.cancel import cancel_routes
from api.dialects.native.capabilities import capability_routes
from api.dialects.native.error_json import error_response
from api.dialects.native.events import event_routes
from api.dialects.native.generate import generate_routes
from api.dialects.native.images import image_routes
from api.dialects.native.models import model_routes
from api.dialects.native.png_info import png_info_routes
from api.dialects.native.recent import recent_routes
from api.dialects.native.status import status_routes
from api.dialects.native.templates import template_routes
from api.dialects.native.webhook_secret import webhook_secret_routes
from api.http_errors import register_error_handlers


def blueprint(services: Services) -> Blueprint:
    """All routes of the dialect."""
    native = Blueprint("native", __name__)
    register_error_handlers(native, error_response)
    native.register_blueprint(generate_routes(services))
    native.register_blueprint(status_routes(services.jobs))
    native.register_blueprint(event_routes(services.jobs))
    native.register_blueprint(cancel_routes(services))
    native.register_blueprint(image_routes(services.jobs))
    native.register_blueprint(recent_routes(services))
    native.register_blueprint(png_info_routes(services))
    native.register_blueprint(template_routes())
    native.register_blueprint(capability_routes(services.jobs))
    native.register_blueprint(model_routes(services.jobs))
    native.register_blueprint(webhook_secret_routes(services))
    return native
