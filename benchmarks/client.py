"""A client that costs next to nothing: what is measured is the service."""

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from benchmarks.rig import KEY

_KEY = {"X-API-Key": KEY}


def encoded(body: dict[str, Any]) -> bytes:
    """A body as it is sent."""
    return json.dumps(body).encode()


class Client:
    """One kept connection. Raises RuntimeError for an answer that is not as it should be.

    Args:
        url: of the service.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def generate(self, body: bytes) -> str:
        """Submit; returns the job's id."""
        return self._asked("POST", "/generate", body)["task_id"]

    def img2img(self, body: bytes) -> str:
        """Submit; returns the job's id."""
        return self._asked("POST", "/img2img", body)["task_id"]

    def status(self, job_id: str) -> dict[str, Any]:
        """How a job is, without pictures."""
        return self._asked("GET", f"/status/{job_id}?images=false")

    def cancel(self, job_id: str) -> None:
        """Cancel a job, or find that it has ended."""
        self._asked("POST", f"/cancel/{job_id}")

    def close(self) -> None:
        self._connection.close()

    def _asked(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = _KEY if body is None else {**_KEY, "Content-Type": "application/json"}
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        # an idle connection may be closed by the server just when it is used again
        except ConnectionError:
            self._connection.close()
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 400 and answer.status != 409:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
        return json.loads(text)
