"""The composition root of the API: settings from the environment, and the WSGI application."""

import logging

from api import create_app
from api.settings import ApiSettings

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

app = create_app(ApiSettings())
