"""How long the API waits for a client: gunicorn's threads would wait for ever.

A client that sends its request a byte at a time, or never reads its answer, would hold a thread
for as long as it likes, and a few dozen of them the whole API.
"""

import errno
import socket
import time
from typing import Any, ClassVar, Self

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker


class PatientSocket(socket.socket):
    """A client's connection: the whole request must come in time, its answer must move."""

    _seconds: float = 0
    _deadline: float = 0

    @classmethod
    def of(cls, plain: socket.socket) -> Self:
        """Take a connection over."""
        return cls(plain.family, plain.type, plain.proto, fileno=plain.detach())

    def expect_a_request(self, seconds: float) -> None:
        """The next request has so many seconds from now."""
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def recv(self, *arguments: Any) -> bytes:
        """Raises ConnectionResetError, which gunicorn expects of clients, when time is up."""
        asked = self.gettimeout()
        left = self._deadline - time.monotonic()
        if left > 0:
            self.settimeout(left if asked is None else min(left, asked))
            try:
                return super().recv(*arguments)
            except TimeoutError:
                if time.monotonic() < self._deadline:
                    raise
        raise ConnectionResetError(errno.ECONNRESET, "the client took too long")

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Raises ConnectionResetError when nothing could be sent for the time of a request."""
        rest = memoryview(data).cast("B")
        self.settimeout(self._seconds)
        try:
            while rest:
                rest = rest[self.send(rest, flags) :]
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read") from error

    def setblocking(self, flag: bool, /) -> None:
        """Also of a connection that is closed: gunicorn does so on its way to closing it."""
        if self.fileno() != -1:
            super().setblocking(flag)


class PatientWorker(ThreadWorker):
    """gunicorn's threads with an end to their patience."""

    request_seconds: ClassVar[float]

    def handle(self, conn: TConn) -> bool:
        """Answer one request. Runs in a thread."""
        if type(conn.sock) is socket.socket:
            conn.sock = PatientSocket.of(conn.sock)
        if isinstance(conn.sock, PatientSocket):
            conn.sock.expect_a_request(self.request_seconds)
        kept = super().handle(conn)
        if kept is False:
            # Waits up to two seconds for the client to close, and gunicorn itself would do so in
            # the thread that accepts everybody else.
            util.close_graceful(conn.sock)
        return kept
