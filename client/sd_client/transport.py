"""HTTP requests to the service, with its key, its errors, and retries."""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import httpx

from sd_client.errors import BadArgument, ClientError, ServiceUnavailable
from sd_client.http_errors import TRANSIENT, error_from, retry_after, unexpected_answer

DUMMY_KEY = "lksalsdfjliadfds"
"""The well-known key of a service without own keys."""
MAX_DELAY = 60.0
"""Seconds. `send` does not wait for a longer Retry-After, but raises at once."""
FIRST_DELAY = 0.5


class Transport:
    """Connections to one service with one API key. Threads may share it.

    Args:
        address: such as http://127.0.0.1:5001; without a scheme, http.
        api_key: empty: the well-known key.
        timeout: seconds for each answer.
        retries: how often to repeat a request without an answer, or with a TRANSIENT one.
    """

    def __init__(self, address: str, api_key: str, *, timeout: float, retries: int) -> None:
        self.address = _address(address)
        self._retries = retries
        self._own_key = bool(api_key)
        self._http = httpx.Client(
            base_url=self.address,
            headers=[
                (b"X-API-Key", _header(api_key or DUMMY_KEY)),
                (b"User-Agent", b"sd-client"),
            ],
            timeout=timeout,
            # no proxy for addresses of this machine
            trust_env=not _is_loopback(httpx.URL(self.address).host),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
        )

    def close(self) -> None:
        self._http.close()

    def json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The JSON object of an answer. Raises ClientError."""
        response = self.send(method, path, **request)
        try:
            answer = response.json()
        except ValueError as error:
            raise unexpected_answer(response) from error
        if not isinstance(answer, dict):
            raise unexpected_answer(response)
        return answer

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request, with retries, until it succeeds. Raises ClientError."""
        for attempt in range(self._retries + 1):
            try:
                response = self._http.request(method, path, **request)
            except httpx.RequestError as error:
                problem: ClientError = self._no_answer(error)
                requested_delay = None
            else:
                if response.is_success:
                    return response
                problem = error_from(response, own_key=self._own_key)
                if response.status_code not in TRANSIENT:
                    raise problem
                requested_delay = retry_after(response)
            delay = _backoff(attempt) if requested_delay is None else requested_delay
            if attempt == self._retries or delay > MAX_DELAY:
                raise problem
            time.sleep(delay)
        raise AssertionError("unreachable")

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str], *, read_timeout: float
    ) -> Iterator[httpx.Response]:
        """A streamed answer, of any status code; at most `read_timeout` seconds between two pieces.

        Raises httpx.TransportError, which callers handle: they can poll instead.
        """
        timeout = httpx.Timeout(self._http.timeout.connect, read=read_timeout)
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            yield response

    def _no_answer(self, error: httpx.RequestError) -> ServiceUnavailable:
        reason = str(error) or type(error).__name__
        return ServiceUnavailable(
            f"no answer from {self.address} ({reason}): check that the service runs there, or "
            "give another address (--address, or SD_ADDRESS)"
        )


def _backoff(attempt: int) -> float:
    """0.5, 1, 2, ... seconds with jitter, so that many clients do not retry at once."""
    return FIRST_DELAY * 2**attempt * random.uniform(0.8, 1.2)


def _address(text: str) -> str:
    address = text.strip().rstrip("/")
    if "://" not in address:
        address = f"http://{address}"
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise BadArgument(f"the address {text!r} is invalid: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise BadArgument(
            f"the address {text!r} is invalid: give one such as http://127.0.0.1:5001"
        )
    return address


def _header(key: str) -> bytes:
    """A key as the value of a header. The exception's message leaves the key out."""
    if not key.isprintable() or key != key.strip():
        raise BadArgument("the API key has spaces around it, or unprintable characters")
    return key.encode()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
