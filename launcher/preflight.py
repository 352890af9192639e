"""Checks before any process starts: the port and the data folder must be free."""

import errno
import fcntl
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from launcher.errors import DataFolderInUse, LauncherError, PortInUse


def require_free_port(host: str, port: int) -> None:
    """Raise PortInUse if a process listens on host:port, LauncherError if bind fails otherwise."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the API does: a port in TIME_WAIT counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"port {port} is in use on {host}: stop that process, or choose another port "
                f"with PORT=... (for example PORT={port + 1} make up)"
            ) from error
        raise LauncherError(f"cannot listen on {host}:{port}: {error.strerror}") from error


@contextmanager
def data_folder(path: Path) -> Generator[Path]:
    """Create the folder if it is missing, and lock it inside the block; yields its full path.

    Two Valkey servers on one append-only file would destroy it. The operating system releases the
    lock when the process ends, also by kill -9. Raises DataFolderInUse or LauncherError.
    """
    folder = path.expanduser().resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "launcher.lock").open("w")
    except OSError as error:
        raise LauncherError(f"the data folder {folder} is not usable: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataFolderInUse(
                f"the data folder {folder} is in use by another running service: stop that one, "
                "or choose another folder with DATA_DIR=..."
            ) from error
        yield folder
