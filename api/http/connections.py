"""gunicorn's threaded worker, changed so that no slow client holds a thread.

gunicorn's own hands a connection to a thread before its request has arrived, and the thread waits
for the client: to send the rest, to take the answer, to close. A hundred slow clients are enough to
hold all threads. Here the event loop receives a request first, and sends what a client has not
taken when its thread is done.
"""

import errno
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ClassVar

from gunicorn.workers.gthread import TConn, ThreadWorker

from api.http.client_socket import ClientSocket
from api.http.places import Places, client_of

MAX_BUFFERED = 1 << 16
"""A request longer than this, in bytes, is read by a thread; one address has a share of those."""
MAX_UNSENT = 1 << 26
"""Bytes of answers that clients have not yet taken, besides the latest answer. Above, the client
with most of them loses one."""
LINGER_SECONDS = 2.0
"""How long a client may take to notice that its connection ends (RFC 9112, section 9.6), and may
send another request to a server that stops."""
CHECK_SECONDS = 0.25


class ClientConnection(TConn):
    """A connection, and what the event loop waits for on it."""

    def __init__(self, cfg: Any, sock: ClientSocket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.client_socket = sock
        self.address = client_of(client[0]) if client else ""
        self.data_ready = True  # gunicorn's thread need not wait for it
        self.deadline = 0.0
        self.kept = False
        self.waits_for_place = False
        self.has_place = False


Step = Callable[[ClientConnection], None]


class ConnectionWorker(ThreadWorker):
    """The worker.

    Attributes:
        request_seconds: until a request must have arrived; how long an answer may lie untaken.
        upload_places: how many threads may read long requests.
    """

    request_seconds: ClassVar[float]
    upload_places: ClassVar[Places]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # In the order in which they began to wait.
        self._waiting: dict[ClientConnection, None] = {}
        self._checked = 0.0

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, and wait for its request."""
        try:
            plain, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._make_room(lambda _: 1)
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        self.nr_conns += 1
        sock = ClientSocket.take_over(plain, patience=self.request_seconds)
        conn = ClientConnection(self.cfg, sock, client, listener.getsockname())
        self._wait(conn, selectors.EVENT_READ, self._receive, self.request_seconds)
        if self.nr_conns >= self.worker_connections:
            self._make_room(lambda _: 1)

    def finish_request(self, conn: TConn, fs: "Future[Any]") -> None:
        """A thread is done with the request."""
        assert isinstance(conn, ClientConnection)
        if conn.has_place:
            conn.has_place = False
            self.upload_places.free(conn.address)
            self._admit_uploads()
        conn.kept = not fs.cancelled() and fs.exception() is None and bool(fs.result())
        if conn.client_socket.fileno() == -1:  # gunicorn closed it: its answer broke off
            self.nr_conns -= 1
        else:
            self._attempt(conn, self._send_rest)

    def murder_pending(self) -> None:
        """Close the connections whose time is up."""
        now = time.monotonic()
        if now < self._checked + CHECK_SECONDS:
            return
        self._checked = now
        for conn in [conn for conn in self._waiting if conn.deadline <= now]:
            if conn.client_socket.received and conn.client_socket.framing.has_head:
                self._hand_over(conn)  # for its answer: the thread waits no longer
            else:
                self._drop(conn)

    def murder_keepalived(self, force: bool = False) -> None:
        """`force`: close all connections that no thread answers, at the end."""
        if force:
            for conn in list(self._waiting):
                self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Close connections that are between two requests at the deadline, to stop."""
        for conn in self._waiting:
            if not conn.client_socket.received:
                conn.deadline = min(conn.deadline, deadline)

    def _attempt(self, conn: ClientConnection, step: Step) -> None:
        """Take a step with a connection. If it fails the connection ends, not this process."""
        try:
            step(conn)
        except OSError:
            self._drop(conn)

    def _on_event(self, conn: ClientConnection, step: Step, _: object) -> None:
        """Take a step, unless an earlier event of the same round has closed the connection."""
        if conn in self._waiting:
            self._attempt(conn, step)

    def _receive(self, conn: ClientConnection) -> None:
        """Something has arrived of a request, or the client has closed the connection."""
        begins = not conn.client_socket.received
        try:
            is_open = conn.client_socket.receive()
        except BlockingIOError:
            return
        if begins and is_open:  # no longer between two requests
            self._wait(conn, selectors.EVENT_READ, self._receive, self.request_seconds)
        self._judge(conn, is_open)

    def _judge(self, conn: ClientConnection, is_open: bool = True) -> None:
        """Hand a request over that has arrived, or that is too long to wait for."""
        sock = conn.client_socket
        if sock.received and (sock.complete or (not is_open and sock.framing.has_head)):
            self._hand_over(conn)
        elif not is_open:
            self._drop(conn)
        elif len(sock.received) > MAX_BUFFERED:
            self._ignore(conn)
            conn.waits_for_place = True
            self._admit_uploads()
        elif sock.framing.expects_continue and not sock.invited:
            sock.invite()

    def _admit_uploads(self) -> None:
        """Let threads read long requests, as far as there are places for their addresses."""
        for conn in [conn for conn in self._waiting if conn.waits_for_place]:
            if self.upload_places.take(conn.address) is None:
                conn.has_place = True
                self._hand_over(conn)

    def _hand_over(self, conn: ClientConnection) -> None:
        """Let a thread answer."""
        self._stop_waiting(conn)
        conn.client_socket.read_until(conn.deadline)
        self.enqueue_req(conn)

    def _send_rest(self, conn: ClientConnection) -> None:
        """Send what the client takes of the answer; then the next request may come."""
        done = conn.client_socket.flush()
        if not done and conn in self._waiting:
            conn.deadline = conn.client_socket.progressed + self.request_seconds
        elif not done:
            self._wait(conn, selectors.EVENT_WRITE, self._send_rest, self.request_seconds)
            others = self._waiting.keys() - {conn}  # one answer alone may be longer than all that
            if sum(len(other.client_socket.unsent) for other in others) > MAX_UNSENT:
                self._make_room(lambda conn: len(conn.client_socket.unsent))
        elif conn.kept:
            self._wait_for_next(conn)
        else:
            self._linger(conn)

    def _wait_for_next(self, conn: ClientConnection) -> None:
        parser: Any = conn.parser
        conn.client_socket.expect_request(parser.unreader.take_buffered())
        seconds = self.request_seconds if conn.client_socket.received else self.cfg.keepalive
        if not self.alive:
            seconds = min(seconds, LINGER_SECONDS)
        self._wait(conn, selectors.EVENT_READ, self._receive, seconds)
        self._judge(conn)

    def _linger(self, conn: ClientConnection) -> None:
        """Close a connection when its client has noticed, so that it can read the answer."""
        conn.client_socket.shutdown(socket.SHUT_WR)
        conn.client_socket.expect_request(b"")
        conn.client_socket.received.clear()
        self._wait(conn, selectors.EVENT_READ, self._discard, LINGER_SECONDS)

    def _discard(self, conn: ClientConnection) -> None:
        is_open = conn.client_socket.receive()
        conn.client_socket.received.clear()
        if not is_open:
            self._drop(conn)

    def _wait(self, conn: ClientConnection, event: int, step: Step, seconds: float) -> None:
        self._stop_waiting(conn)
        conn.client_socket.setblocking(False)
        conn.deadline = time.monotonic() + seconds
        self._waiting[conn] = None
        self.poller.register(conn.client_socket, event, partial(self._on_event, conn, step))

    def _stop_waiting(self, conn: ClientConnection) -> None:
        if conn in self._waiting:
            del self._waiting[conn]
            self._ignore(conn)
        conn.waits_for_place = False

    def _ignore(self, conn: ClientConnection) -> None:
        if conn.client_socket in self.poller.get_map():
            self.poller.unregister(conn.client_socket)

    def _drop(self, conn: ClientConnection) -> None:
        self._stop_waiting(conn)
        self.nr_conns -= 1
        conn.close()

    def _make_room(self, weight: Callable[[ClientConnection], int]) -> None:
        """The client that weighs most loses the connection that has waited longest."""
        weights: Counter[str] = Counter()
        for conn in self._waiting:
            weights[conn.address] += weight(conn)
        for address, _ in weights.most_common(1):
            self._drop(next(c for c in self._waiting if c.address == address and weight(c)))
