"""A port of their own for /workers and /metrics, so that clients of the API cannot reach them.

The same server listens on both ports; each request has the port that it came in on.
"""

from http import HTTPStatus

from flask import Flask, abort, request


def serve_apart(app: Flask, blueprint: str, port: int) -> None:
    """Answer the routes of a blueprint on this port only, and no other route there: 404."""

    @app.before_request
    def refuse() -> None:
        """Raises NotFound."""
        came_in_on_it = request.environ["SERVER_PORT"] == str(port)
        if came_in_on_it != (request.blueprint == blueprint):
            abort(HTTPStatus.NOT_FOUND)
