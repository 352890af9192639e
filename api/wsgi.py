"""The composition root of the API: settings from the environment, and the WSGI application."""

from api import create_app
from api.settings import ApiSettings
from jobs.environment import read_settings
from jobs.logs import configure_logging

settings = read_settings(ApiSettings)
configure_logging(settings.log_level, settings.log_format)
app = create_app(settings)
