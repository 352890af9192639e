"""Doubled slashes in addresses, as a base address that ends in a slash makes them."""

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_SLASHES = re.compile("//+")


class MergedSlashes:
    """A WSGI application whose paths have single slashes.

    Flask would redirect, before it has read the body: a client that still sends a picture loses the
    connection and never sees where to go.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["PATH_INFO"] = _SLASHES.sub("/", environ.get("PATH_INFO", ""))
        return self._app(environ, start_response)
