"""Whether the client of a request has closed its connection."""

import select
import socket
from collections.abc import Callable
from typing import Any

# A closed connection is noticed although the client has sent something that nobody has read.
_CLOSED = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR


def client_gone(environ: dict[str, Any]) -> Callable[[], bool]:
    """A function that tells it, from a WSGI environment; without gunicorn always False.

    A client that closes its sending half only, and would still read, counts as gone, as it does for
    nginx and other proxies.
    """
    connection: socket.socket | None = environ.get("gunicorn.socket")
    if connection is None:
        return lambda: False

    def gone() -> bool:
        poll = select.poll()
        if connection.fileno() == -1:
            return True
        poll.register(connection, _CLOSED)
        return bool(poll.poll(0))

    return gone
