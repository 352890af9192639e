"""HTTP in and out: JSON to jobs, jobs to pictures. No torch in here."""

import logging

from flask import Flask

from api.auth import KeyRing
from api.desk import Desk
from api.handlers import register_handlers
from api.rate import SubmitRate
from api.routes.cancel import cancel_routes
from api.routes.capabilities import capability_routes
from api.routes.docs import add_docs
from api.routes.events import event_routes
from api.routes.generate import generate_routes
from api.routes.health import health_routes
from api.routes.images import image_routes
from api.routes.models import model_routes
from api.routes.pages import page_routes
from api.routes.recent import recent_routes
from api.routes.status import status_routes
from api.routes.templates import template_routes
from api.routes.workers import worker_routes
from api.settings import NO_LIMIT, ApiSettings
from api.watcher import Watcher

log = logging.getLogger(__name__)

WATCHER = "watcher"
"""Where the app keeps its watcher, for the server that stops it."""


def create_app(settings: ApiSettings) -> Flask:
    """The WSGI application that the settings describe. Nothing is connected before it is used."""
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # pyright: ignore[reportAttributeAccessIssue]
    register_handlers(app)

    desk = Desk.of(settings)
    keys = KeyRing(settings.keys, settings.all_admin_keys)
    if keys.has_dummy:
        log.warning(
            "THE DUMMY API KEY OF THE README IS ACTIVE: whoever reaches this API may use it. "
            "Set API_KEYS or API_KEYS_FILE to keys of your own."
        )
    rate = None
    if settings.rate_limit != NO_LIMIT:
        rate = SubmitRate(desk.redis, settings.rate_limit)
    app.register_blueprint(page_routes())
    app.register_blueprint(generate_routes(desk, keys, rate, settings))
    app.register_blueprint(status_routes(desk))
    watcher = app.extensions[WATCHER] = Watcher(desk.records)
    app.register_blueprint(event_routes(desk, watcher, settings.event_streams))
    app.register_blueprint(cancel_routes(desk, keys, settings))
    app.register_blueprint(image_routes(desk))
    app.register_blueprint(recent_routes(desk, keys, settings))
    app.register_blueprint(template_routes())
    app.register_blueprint(capability_routes(desk))
    app.register_blueprint(model_routes(desk))
    app.register_blueprint(health_routes(desk))
    app.register_blueprint(worker_routes(desk))
    add_docs(app, settings.limits)
    return app
