"""A client's connection that buffers, so that no thread waits for a slow client."""

import errno
import socket
import time
from contextlib import suppress
from typing import Any, Self

from api.http.request_framing import RequestFraming

PIECE = 1 << 16
RETRY_SECONDS = 0.02
"""An answer comes in pieces of 8 KiB: not each is worth asking a client that took nothing."""
PROBE_SECONDS = 15
"""A client that vanished without a word is noticed after about four times as long."""


class ClientSocket(socket.socket):
    """Belongs to the event loop until a request has arrived, then to the thread that answers it,
    then to the event loop again, which sends what the client has not yet taken.

    Attributes:
        framing: of the request that is arriving.
        received: what has arrived of it and no thread has read.
        unsent: what the client has not yet taken of the answer.
        progressed: when it last took some, or there was nothing to take; on the monotonic clock.
        invited: whether a client that asks first was asked for the body.
    """

    framing: RequestFraming
    received: bytearray
    unsent: bytearray
    progressed: float
    invited: bool
    _refused: float
    _deadline: float
    _patience: float

    @classmethod
    def take_over(cls, plain: socket.socket, *, patience: float) -> Self:
        """The same connection; `plain` is detached from it.

        Args:
            plain: as it was accepted.
            patience: seconds that a client may take nothing of its answer.
        """
        taken = cls(plain.family, plain.type, plain.proto, fileno=plain.detach())
        taken.framing = RequestFraming()
        taken.received, taken.unsent = bytearray(), bytearray()
        taken.progressed = taken._refused = taken._deadline = time.monotonic()
        taken._patience = patience
        taken.invited = False
        if taken.family != socket.AF_UNIX:
            with suppress(OSError):  # macOS: the client has gone already
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
                    if hasattr(socket, option):
                        taken.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), PROBE_SECONDS)
        return taken

    # Of the event loop.

    def receive(self) -> bool:
        """Add what has arrived to `received`; False: the client sends no more. Does not block."""
        piece = super().recv(PIECE, socket.MSG_DONTWAIT)
        self.received += piece
        return bool(piece)

    @property
    def complete(self) -> bool:
        """Whether a whole request has arrived."""
        return self.framing.complete(self.received)

    def expect_request(self, read_ahead: bytes) -> None:
        """The next request arrives, which may begin with bytes that were read already."""
        self.received[:0] = read_ahead
        self.framing = RequestFraming()
        self.invited = False

    def invite(self) -> None:
        """Ask for the body. gunicorn asks again, which clients must accept (RFC 9110, 15.2)."""
        self.invited = True
        self.unsent += b"HTTP/1.1 100 Continue\r\n\r\n"
        self.flush()

    def flush(self) -> bool:
        """Send what the client takes now; True: there is nothing left. Does not block."""
        self.setblocking(False)
        try:
            while self.unsent:
                del self.unsent[: self.send(memoryview(self.unsent)[: PIECE * 4])]
                self.progressed = time.monotonic()
        except BlockingIOError:
            self._refused = time.monotonic()
            return False
        self.progressed = time.monotonic()
        return True

    # Of the thread that answers.

    def read_until(self, deadline: float) -> None:
        """What is not in `received` must arrive before `deadline`, on the monotonic clock."""
        self._deadline = deadline

    def recv(self, *arguments: Any) -> bytes:
        """Raises ConnectionResetError, which gunicorn handles, after the deadline."""
        if self.received:
            piece = bytes(self.received[: arguments[0]])
            del self.received[: len(piece)]
            return piece
        left = self._deadline - time.monotonic()
        if left > 0:
            timeout = self.gettimeout()
            self.settimeout(min(left, timeout or left))
            try:
                return super().recv(*arguments)
            except TimeoutError:
                if time.monotonic() < self._deadline:
                    raise
        raise ConnectionResetError(errno.ECONNRESET, "the client took too long")

    def sendall(self, data: Any, _flags: int = 0, /) -> None:
        """Send what the client takes now, and keep the rest for the event loop.

        Raises ConnectionResetError when the client has taken nothing for its patience.
        """
        waits = bool(self.unsent)
        self.unsent += memoryview(data).cast("B")
        if waits and time.monotonic() < self._refused + RETRY_SECONDS:
            return
        if not self.flush() and time.monotonic() - self.progressed > self._patience:
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read")

    def setblocking(self, flag: bool, /) -> None:
        """Ignores a closed connection: gunicorn calls this while it closes one."""
        if self.fileno() != -1:
            super().setblocking(flag)
