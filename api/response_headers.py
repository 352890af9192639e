"""The headers of every answer, and the Content-Security-Policy of the pages."""

import base64
import hashlib
import re

from flask import Flask, Response

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
"""No other origins, nothing inline, no form submission."""
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def add_response_headers(app: Flask) -> None:
    """Add them to every answer; a Cache-Control that it has is kept.

    Statuses, pictures and lists of jobs belong to one key, or to those who know a job's id.
    """

    @app.after_request
    def add(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "private, no-store")
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def content_security_policy(page: bytes = b"") -> str:
    """The policy of the pages.

    Args:
        page: HTML that is not made from anything that a client sends; its inline scripts may run.
    """
    hashes = [hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(page)]
    allowed = "".join(f" 'sha256-{base64.b64encode(each).decode()}'" for each in hashes)
    rules = {**_POLICY, "script-src": _POLICY["script-src"] + allowed}
    return "; ".join(f"{name} {value}" for name, value in rules.items())
