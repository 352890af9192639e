"""The headers of every answer, and the Content-Security-Policy of the pages."""

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence

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


def content_security_policy(page: bytes = b"", styles: Sequence[bytes] = ()) -> str:
    """The policy of the pages.

    Args:
        page: HTML that is not made from anything that a client sends; its inline scripts may run.
        styles: further style sheets that a script of the page may insert.
    """
    scripts = _INLINE_SCRIPT.findall(page)
    inline = {"script-src": _hashes(scripts), "style-src": _hashes(styles)}
    rules = {**_POLICY, **{name: _POLICY[name] + hashes for name, hashes in inline.items()}}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hashes(texts: Iterable[bytes]) -> str:
    digests = (hashlib.sha256(text).digest() for text in texts)
    return "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
