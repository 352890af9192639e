"""The event loop for connections, without an API behind it."""

import os
import selectors
import socket
from collections.abc import Iterator

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from api.http.connections import ConnectionWorker


class PatientWorker(ConnectionWorker):
    request_seconds = 30


@pytest.fixture
def worker() -> Iterator[ConnectionWorker]:
    """It listens, and takes a second connection in place of the first."""
    cfg = Config()
    cfg.set("worker_connections", 2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        loop = PatientWorker(0, os.getppid(), [listener], None, 30, cfg, Logger(cfg))
        loop.poller = selectors.DefaultSelector()
        loop.set_accept_enabled(True)
        yield loop
        loop.murder_keepalived(force=True)
        loop.poller.close()


def test_a_connection_that_makes_room_is_counted_once(worker: ConnectionWorker) -> None:
    """Its client has sent something, which the same round of the loop would have received."""
    [listener] = worker.sockets
    with socket.create_connection(listener.getsockname()) as first:
        worker.wait_for_and_dispatch_events(timeout=10)
        assert worker.nr_conns == 1
        with socket.create_connection(listener.getsockname()):
            first.send(b"G")
            worker.wait_for_and_dispatch_events(timeout=10)
            assert worker.nr_conns == 1
        with pytest.raises(ConnectionResetError):
            first.recv(1)
