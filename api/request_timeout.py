"""Timeouts for slow clients; gunicorn's threaded worker has none.

Without them a client that sends its request a byte at a time, or never reads its answer, would
hold a thread for as long as it likes, and a few dozen of them all threads.
"""

import errno
import socket
import time
from typing import Any, ClassVar, Self

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker


class RequestTimeoutSocket(socket.socket):
    """A client's connection with a deadline for the request and a timeout for the answer."""

    _seconds: float = 0
    _deadline: float = 0

    @classmethod
    def take_over(cls, plain: socket.socket) -> Self:
        """The same connection; `plain` is detached from it."""
        return cls(plain.family, plain.type, plain.proto, fileno=plain.detach())

    def start_request(self, seconds: float) -> None:
        """The next request must be received within `seconds` from now."""
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def recv(self, *arguments: Any) -> bytes:
        """Raises ConnectionResetError, which gunicorn handles, after the deadline."""
        timeout = self.gettimeout()
        left = self._deadline - time.monotonic()
        if left > 0:
            self.settimeout(left if timeout is None else min(left, timeout))
            try:
                return super().recv(*arguments)
            except TimeoutError:
                if time.monotonic() < self._deadline:
                    raise
        raise ConnectionResetError(errno.ECONNRESET, "the client took too long")

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Raises ConnectionResetError when the client reads nothing for the request's timeout."""
        rest = memoryview(data).cast("B")
        self.settimeout(self._seconds)
        try:
            while rest:
                rest = rest[self.send(rest, flags) :]
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read") from error

    def setblocking(self, flag: bool, /) -> None:
        """Ignores a closed connection: gunicorn calls this while it closes one."""
        if self.fileno() != -1:
            super().setblocking(flag)


class RequestTimeoutWorker(ThreadWorker):
    """gunicorn's threaded worker with timeouts for its clients."""

    request_seconds: ClassVar[float]

    def handle(self, conn: TConn) -> bool:
        """Answer one request. Runs in a pool thread."""
        if type(conn.sock) is socket.socket:
            conn.sock = RequestTimeoutSocket.take_over(conn.sock)
        if isinstance(conn.sock, RequestTimeoutSocket):
            conn.sock.start_request(self.request_seconds)
        kept = super().handle(conn)
        if kept is False:
            # Blocks up to 2 s until the client closes. gunicorn would do it in the thread that
            # accepts all connections.
            util.close_graceful(conn.sock)
        return kept
