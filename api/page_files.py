"""The web pages: the HTML, CSS and JavaScript files of `api/pages/`."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flask import Response, request

from api.http.response_headers import content_security_policy

FOLDER = Path(__file__).with_name("pages")
# The operating system's table of MIME types may lack them.
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class PageFile:
    """A file in memory."""

    data: bytes
    mimetype: str

    @property
    def etag(self) -> str:
        return hashlib.sha256(self.data).hexdigest()[:20]


@cache
def page_files() -> dict[str, PageFile]:
    """All files by name, read once. No other path can be requested."""
    return {
        path.name: PageFile(path.read_bytes(), TYPES[path.suffix])
        for path in sorted(FOLDER.iterdir())
    }


def page_response(name: str) -> Response:
    """A file by its name; 304 if the browser's copy is current. Raises KeyError."""
    file = page_files()[name]
    response = Response(file.data, mimetype=file.mimetype)
    response.headers["Content-Security-Policy"] = content_security_policy()
    # Module URLs have no version: the browser must revalidate them each time.
    response.cache_control.no_cache = True
    response.set_etag(file.etag)
    response.make_conditional(request)
    return response
