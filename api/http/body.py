"""Receives the body of a request, JSON or a form, at a bounded cost of memory and time.

Werkzeug truncates a chunked body at the limit and Flask parses the rest; here it is a BodyTooLarge.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from functools import partial
from threading import Lock
from typing import IO, TypeVar

from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import ClientDisconnected
from werkzeug.wsgi import get_input_stream

from api.errors import BodyTooLarge, BodyTooSlow, NotJson, UnreadableBody
from api.http.body_memory import BodyMemory
from api.http.content_coding import content_coding, inflated
from api.http.form_data import MIME_TYPE, Form, boundary_of, parse_form
from api.http.json_object import JsonObject, parse_object

Content = TypeVar("Content")

DRAINED_LIMITS = 4
"""Of a body that is too large, this many times the limit is read and discarded."""
SMALL_BYTES = 1024**2
"""Bodies up to this size are received and parsed without waiting for others, so that only threads
which read a long body wait for memory: their number is bounded (`api.http.connections`)."""


class BodyReader:
    """Reads the bodies of all requests of this process.

    Of the bodies over SMALL_BYTES one is parsed at a time, and those that are being received occupy
    a bounded memory together, of which one sender gets half.

    Args:
        limit: the largest body, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._memory = BodyMemory(total=8 * limit, share=4 * limit)
        self._parsing = Lock()

    def read(self, request: Request, sender: str) -> JsonObject:
        """The JSON object of the request's body.

        Args:
            request: its body has not been read.
            sender: a digest of its key, or its address.

        Raises:
            NotJson, UnknownEncoding, BodyTooLarge, BodyTooSlow, UnreadableBody.
            TooManyBodies: the other large bodies leave no room for this one.
        """
        if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
            raise NotJson(
                "the body must be JSON: send Content-Type: application/json (curl: add "
                f"-H 'Content-Type: application/json'), not {request.mimetype or 'nothing'}"
            )
        return self._content(request, sender, parse_object)

    def read_form(self, request: Request, sender: str) -> Form:
        """The fields of a multipart/form-data body. Arguments and errors as of `read`."""
        if request.mimetype != MIME_TYPE:
            raise NotJson(f"the body must be {MIME_TYPE}, not {request.mimetype or 'nothing'}")
        parse = partial(parse_form, boundary=boundary_of(request))
        return self._content(request, sender, parse)

    def _content(
        self, request: Request, sender: str, parse: Callable[[bytes | bytearray], Content]
    ) -> Content:
        coding = content_coding(request)
        expected = self._expected(request)
        size = 2 * expected if coding else expected  # compressed and unpacked
        with ExitStack() as reserved:

            def reserve(*, waits: bool = True) -> None:
                reserved.enter_context(self._memory.reserved(size, sender, waits=waits))

            received = self._received(request, reserve)
            body = self._unpacked(received, reserve) if coding else received
            # After it has arrived, so that a slow sender holds up nobody.
            with self._parsing if len(body) > SMALL_BYTES else nullcontext():
                return parse(body)

    def _expected(self, request: Request) -> int:
        """How many bytes the body has; of a chunked or compressed one, how many it may have."""
        length = request.content_length or 0
        open_ended = "Transfer-Encoding" in request.headers or "Content-Encoding" in request.headers
        return max(self._limit, length) if open_ended else length

    def _unpacked(self, received: bytearray, reserve: Callable[..., None]) -> bytes:
        """The content of a gzip body; one that was small may need memory now."""
        if len(received) <= SMALL_BYTES:
            try:
                return inflated(received, SMALL_BYTES)
            except BodyTooLarge:
                reserve(waits=False)
        return inflated(received, self._limit)

    def _received(self, request: Request, reserve: Callable[[], None]) -> bytearray:
        """The whole body, with a Content-Length or chunked."""
        try:
            return self._received_up_to_limit(request, reserve)
        except (ClientDisconnected, OSError) as error:
            raise BodyTooSlow("the body did not arrive in time") from error
        except ParseException as error:  # invalid chunks
            raise UnreadableBody("the body is not valid HTTP") from error

    def _received_up_to_limit(self, request: Request, reserve: Callable[[], None]) -> bytearray:
        stream: IO[bytes] = get_input_stream(request.environ)
        if self._expected(request) <= self._limit:
            body = bytearray()
            for piece in _pieces(stream, self._limit + 1):
                if len(body) <= SMALL_BYTES < len(body) + len(piece):
                    reserve()
                body += piece
            if len(body) <= self._limit:
                return body
        # A client that is still sending reads the answer only after it has sent everything.
        for _ in _pieces(stream, DRAINED_LIMITS * self._limit):
            pass
        raise BodyTooLarge(f"the body is larger than {self._limit // 1024**2} MiB")


def _pieces(stream: IO[bytes], limit: int) -> Iterator[bytes]:
    """The content of the stream, at most `limit` bytes."""
    while limit > 0 and (piece := stream.read(min(limit, 1 << 16))):
        limit -= len(piece)
        yield piece
