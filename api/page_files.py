"""The pages for people: HTML, CSS and modules as they stand in `api/pages/`, and their headers."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Response, request

FOLDER = Path(__file__).with_name("pages")
# Not left to the machine's own table, which may have none of them.
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
"""Nothing from elsewhere, nothing inline, no form that leaves the page."""


@dataclass(frozen=True)
class PageFile:
    """One file, held in memory."""

    data: bytes
    mimetype: str

    @property
    def etag(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:20]


@cache
def page_files() -> dict[str, PageFile]:
    """All files by name, read once; nothing else in the folder or beside it can be asked for."""
    return {
        path.name: PageFile(path.read_bytes(), TYPES[path.suffix])
        for path in sorted(FOLDER.iterdir())
    }


def page_response(name: str) -> Response:
    """A file by its name; 304 for who has it already. Raises KeyError."""
    file = page_files()[name]
    response = Response(file.data, mimetype=file.mimetype)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    # Modules name each other without a version: the browser asks each time whether it has changed.
    response.cache_control.no_cache = True
    response.set_etag(file.etag)
    response.make_conditional(request)
    return response
