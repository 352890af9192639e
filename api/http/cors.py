"""Lets the pages of other origins call the API from a browser (CORS, the Fetch standard).

A key is a header, never a cookie, so no answer allows credentials, and `*` gives a page nothing
that its visitor could not do with curl.
"""

from collections.abc import Sequence

from flask import Flask, Response, request

ANY_ORIGIN = "*"
METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
READ_HEADERS = (
    "Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-None-Match, "
    "Last-Event-ID, Range, X-API-Key, X-Requested-With, *"
)
"""Of requests. The star stands for those of SDKs, such as X-Stainless-Lang of OpenAI's; browsers do
not count Authorization among them."""
EXPOSED_HEADERS = (
    "Content-Range, ETag, Link, Location, Retry-After, WWW-Authenticate, X-Request-Id, "
    "X-Should-Retry"
)
"""Of answers; a page may read them beside the few that every page may."""
PREFLIGHT_SECONDS = 7200
"""How long a browser remembers an answer; Chromium does so no longer."""


def is_preflight() -> bool:
    """Whether a browser asks if a page may send its request, which comes without a key."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def allow_origins(app: Flask, origins: Sequence[str]) -> None:
    """Let the pages of these origins read every answer, errors included.

    Args:
        app: the application.
        origins: the setting CORS_ORIGINS; ANY_ORIGIN among them allows all, and none adds nothing.
    """
    if not origins:
        return

    @app.before_request
    def answer_preflight() -> Response | None:
        """For every path, whether it exists or not: the request itself is then answered."""
        return Response(status=204) if is_preflight() else None

    @app.after_request
    def add(response: Response) -> Response:
        origin = request.headers.get("Origin", "")
        if ANY_ORIGIN in origins:
            response.headers["Access-Control-Allow-Origin"] = ANY_ORIGIN
        else:
            response.vary.add("Origin")
            if origin.lower() not in origins:
                return response
            response.headers["Access-Control-Allow-Origin"] = origin
        if is_preflight():
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = READ_HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
        else:
            response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        return response
