"""The HTTP API: requests to jobs, jobs to pictures. It imports no torch."""

import logging
from collections.abc import Sequence

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from api import openapi
from api.auth import KeyRing
from api.backends import Backends
from api.dialect import Dialect, Services
from api.dialects import DIALECTS
from api.dialects.native.error_json import error_response
from api.http.body import BodyReader
from api.http.cors import allow_origins
from api.http.hosts import refuse_other_hosts
from api.http.merged_slashes import MergedSlashes
from api.http.monitoring_port import serve_apart
from api.http.response_headers import add_response_headers
from api.http_errors import register_error_handlers
from api.job_service import JobService
from api.rate_limit import WrongKeyLimit
from api.routes.docs import add_docs
from api.routes.health import health_routes
from api.routes.pages import page_routes
from api.routes.workers import worker_routes
from api.settings import ApiSettings

log = logging.getLogger(__name__)

JOB_SERVICE = "job_service"
"""The JobService's name in `app.extensions`, for the server that closes it."""


def create_app(settings: ApiSettings, dialects: Sequence[Dialect] = DIALECTS) -> Flask:
    """The WSGI application that the settings describe. It connects to nothing before it is used."""
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = False  # /generate/ is /generate
    app.wsgi_app = MergedSlashes(app.wsgi_app)  # and so is //generate
    app.json.sort_keys = False  # pyright: ignore[reportAttributeAccessIssue]
    register_error_handlers(app, error_response)
    add_response_headers(app)
    allow_origins(app, settings.cors_origins)
    refuse_other_hosts(app, settings.allowed_hosts, settings.api_host)
    if settings.trusted_proxies:
        # The address only: nothing here depends on the other headers.
        app.wsgi_app = ProxyFix(app.wsgi_app, settings.trusted_proxies, x_proto=0)

    keys = KeyRing(settings.keys, settings.all_admin_keys)
    if keys.has_dummy:
        log.warning(
            "THE DUMMY API KEY OF THE README IS ACTIVE: everybody who can reach this API may use "
            "it. Set API_KEYS or API_KEYS_FILE to your own keys."
        )
    backends = Backends.from_settings(settings)
    jobs = app.extensions[JOB_SERVICE] = JobService(backends, settings)
    services = Services(
        jobs=jobs,
        keys=keys,
        wrong_keys=WrongKeyLimit(settings.wrong_key_limit),
        bodies=BodyReader(settings.max_body_bytes),
        settings=settings,
    )
    app.register_blueprint(page_routes())
    spoken = [dialect(services) for dialect in dialects]
    for routes in spoken:
        app.register_blueprint(routes)
    app.extensions[openapi.DIALECTS] = {routes.name: routes for routes in spoken}
    app.register_blueprint(health_routes(backends, jobs.default_model))
    monitoring = worker_routes(backends)
    app.register_blueprint(monitoring)
    if settings.monitoring_port:
        serve_apart(app, monitoring.name, settings.monitoring_port)
    add_docs(app, settings.limits)
    return app
