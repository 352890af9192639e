"""gunicorn's configuration: `gunicorn --config python:api.gunicorn api.wsgi:app`."""

from types import FrameType
from typing import cast

from flask import Flask
from gunicorn.config import Config
from gunicorn.glogging import Logger

from api import WATCHER
from api.memory import keep_memory
from api.patience import PatientWorker
from api.settings import ApiSettings
from jobs.environment import read_settings
from jobs.logs import configure_logging

_settings = read_settings(ApiSettings)
configure_logging(_settings.log_level, _settings.log_format)
keep_memory()


class Worker(PatientWorker):
    """The threads of this API."""

    request_seconds = _settings.request_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop, when those who are being answered have been."""
        self._end_streams()
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Stop now."""
        self._end_streams()
        super().handle_quit(sig, frame)

    def _end_streams(self) -> None:
        """End all streams of events: nobody knows when they would end by themselves."""
        if app := cast(Flask | None, self.wsgi):
            app.extensions[WATCHER].stop()


class HouseLogger(Logger):
    """gunicorn's own lines, in the form of all others."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True


_host = f"[{_settings.api_host}]" if ":" in _settings.api_host else _settings.api_host

bind = f"{_host}:{_settings.port}"
# One process: the API waits for Redis and files, which threads do as well, and the places for
# synchronous requests are counted once.
workers = 1
worker_class = Worker
threads = _settings.threads
# What stopping waits for: longer than any answer that is not a synchronous one.
graceful_timeout = 3
control_socket_disable = True
logger_class = HouseLogger
loglevel = "warning"
