"""HTTP to the service: its key, its errors, and asking again when an answer was lost."""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import httpx

from sd_client.errors import BadArgument, ClientError, ServiceUnavailable
from sd_client.refusals import PASSING, problem_of, retry_after, strange

DUMMY_KEY = "lksalsdfjliadfds"
"""The well-known key of a service that has not been given keys of its own."""
LONGEST_PAUSE = 60.0
"""Seconds. Who is told to come back later than that is told so at once."""
FIRST_PAUSE = 0.5


class Transport:
    """One service, asked by one key. Threads may share it.

    Args:
        address: such as http://127.0.0.1:5001; without a scheme it is http.
        api_key: empty: the well-known one.
        timeout: seconds for each answer.
        retries: how often a request is sent again that was not answered, or with 429 or 503.
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
            # a proxy of the environment is not asked for this very machine
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
            raise strange(response) from error
        if not isinstance(answer, dict):
            raise strange(response)
        return answer

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """A good answer; what can be lost on the way is asked for again. Raises ClientError."""
        for attempt in range(self._retries + 1):
            try:
                response = self._http.request(method, path, **request)
            except httpx.RequestError as error:
                problem: ClientError = self._silence(error)
                asked = None
            else:
                if response.is_success:
                    return response
                problem = problem_of(response, own_key=self._own_key)
                if response.status_code not in PASSING:
                    raise problem
                asked = retry_after(response)
            pause = _backoff(attempt) if asked is None else asked
            if attempt == self._retries or pause > LONGEST_PAUSE:
                raise problem
            time.sleep(pause)
        raise AssertionError("unreachable")

    @contextmanager
    def stream(
        self, path: str, headers: Mapping[str, str], *, silence: float
    ) -> Iterator[httpx.Response]:
        """An answer that comes in pieces, at most `silence` seconds apart, whatever its code.

        Raises httpx.TransportError: there is a way to go on without a stream.
        """
        timeout = httpx.Timeout(self._http.timeout.connect, read=silence)
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as response:
            yield response

    def _silence(self, error: httpx.RequestError) -> ServiceUnavailable:
        said = str(error) or type(error).__name__
        return ServiceUnavailable(
            f"no answer from {self.address} ({said}): see that the service runs there, or name "
            "another address (--address, or SD_ADDRESS)"
        )


def _backoff(attempt: int) -> float:
    """0.5, 1, 2, ... seconds, a little scattered, so that many clients do not come back at once."""
    return FIRST_PAUSE * 2**attempt * random.uniform(0.8, 1.2)


def _address(text: str) -> str:
    address = text.strip().rstrip("/")
    if "://" not in address:
        address = f"http://{address}"
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise BadArgument(f"the address {text!r} is none: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise BadArgument(f"the address {text!r} is none: give one such as http://127.0.0.1:5001")
    return address


def _header(key: str) -> bytes:
    """A key as a header carries it; the message does not tell it."""
    if not key.isprintable() or key != key.strip():
        raise BadArgument("the API key has blanks around it, or characters that are not printable")
    return key.encode()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
