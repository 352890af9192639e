"""HTTP in and out: JSON to jobs, jobs to pictures. No torch in here."""

import logging

from flask import Flask

from api.auth import KeyRing
from api.desk import Desk
from api.handlers import register_handlers
from api.routes.generate import generate_routes
from api.routes.health import health_routes
from api.routes.images import image_routes
from api.routes.recent import recent_routes
from api.routes.status import status_routes
from api.settings import ApiSettings

log = logging.getLogger(__name__)


def create_app(settings: ApiSettings) -> Flask:
    """The WSGI application that the settings describe. Nothing is connected before it is used."""
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # pyright: ignore[reportAttributeAccessIssue]
    register_handlers(app)

    desk = Desk.of(settings)
    keys = KeyRing(settings.api_keys)
    if keys.has_dummy:
        log.warning(
            "THE DUMMY API KEY OF THE README IS ACTIVE: whoever reaches this API may use it. "
            "Set API_KEYS to keys of your own."
        )
    app.register_blueprint(generate_routes(desk, keys, settings))
    app.register_blueprint(status_routes(desk))
    app.register_blueprint(image_routes(desk))
    app.register_blueprint(recent_routes(desk, keys, settings))
    app.register_blueprint(health_routes(desk))
    return app
