"""gunicorn's configuration: `gunicorn --config python:api.gunicorn api.wsgi:app`."""

from types import FrameType
from typing import cast

from flask import Flask
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger

from api import JOB_SERVICE
from api.http.connection_limit import connections_for
from api.http.connections import ConnectionWorker
from api.http.places import Places
from api.settings import ApiSettings
from jobs.environment import read_settings
from jobs.logs import configure_logging
from jobs.malloc_options import keep_freed_memory

_settings = read_settings(ApiSettings)
configure_logging(_settings.log_level, _settings.log_format)
# a body with a picture of 1 MB passes through half a dozen buffers
keep_freed_memory(mib=32)


class Worker(ConnectionWorker):
    """The process and the threads of this API."""

    request_seconds = _settings.request_seconds
    # With those of synchronous requests and event streams a quarter of the threads stays free.
    upload_places = Places(max(1, _settings.api_threads // 4), _settings.client_share)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop after the current requests (SIGTERM). Takes no lock, which might be held."""
        self._close_event_streams()
        super().handle_exit(sig, frame)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """The same (SIGQUIT, SIGINT); the arbiter ends this process after `graceful_timeout`.

        gunicorn's own handler shuts the thread pool down, which takes locks.
        """
        self.handle_exit(sig, frame)

    def _close_event_streams(self) -> None:
        """Event streams would last as long as their jobs."""
        if app := cast(Flask | None, self.wsgi):
            app.extensions[JOB_SERVICE].close()


class StructuredLogger(Logger):
    """gunicorn's log lines in the format of all others."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def on_starting(server: Arbiter) -> None:
    """Listen on MONITORING_PORT as well. Here, since --bind replaces `bind` below."""
    if _settings.monitoring_port:
        monitoring = _address(_settings.monitoring_host, _settings.monitoring_port)
        server.cfg.set("bind", [*server.cfg.settings["bind"].get(), monitoring])


bind = _address(_settings.api_host, _settings.port)
# One process: the API waits for Redis and files, for which threads suffice, and the slots for
# synchronous requests are counted in one place.
workers = 1
worker_class = Worker
threads = _settings.threads
worker_connections = connections_for(threads)
keepalive = _settings.keep_alive_seconds
# Longer than any answer takes that is not a synchronous one.
graceful_timeout = 3
control_socket_disable = True
# The kernel would send files past the buffers of `ClientSocket`.
sendfile = False
logger_class = StructuredLogger
loglevel = "warning"
