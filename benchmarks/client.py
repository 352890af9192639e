"""An HTTP client with little overhead, so that the benchmarks measure the service."""

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from benchmarks.fixtures import KEY

_KEY = {"X-API-Key": KEY}


def encode(body: dict[str, Any]) -> bytes:
    """The JSON body of a request."""
    return json.dumps(body).encode()


class Client:
    """One persistent connection. Raises RuntimeError for an error answer.

    Args:
        url: URL of the service.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def generate(self, body: bytes) -> str:
        """Submit; returns the job's id."""
        return self._request("POST", "/generate", body)["task_id"]

    def img2img(self, body: bytes) -> str:
        """Submit; returns the job's id."""
        return self._request("POST", "/img2img", body)["task_id"]

    def status(self, job_id: str) -> dict[str, Any]:
        """The status of a job, without pictures."""
        return self._request("GET", f"/status/{job_id}?images=false")

    def cancel(self, job_id: str) -> None:
        """Cancel a job; does nothing if it has ended."""
        self._request("POST", f"/cancel/{job_id}")

    def close(self) -> None:
        self._connection.close()

    def _request(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = _KEY if body is None else {**_KEY, "Content-Type": "application/json"}
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        # the server may close an idle connection just before the request
        except ConnectionError:
            self._connection.close()
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 400 and answer.status != 409:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
        return json.loads(text)
