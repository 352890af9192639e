"""Ports for the servers that tests start."""

import os
import random
import socket

_given: set[int] = set()
# Below the range from which Linux takes ports by itself (net.ipv4.ip_local_port_range). A server
# that is stopped and started again on its port finds it free: no connection of another test has
# been given it meanwhile. Processes side by side have different ones: until its server listens, a
# port looks free to all of them. Seeded by the system, so that two runs seldom agree.
_PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_RANGE = range(10_000 + _PROCESS, 32_768, _PROCESSES)
_random = random.SystemRandom()


def free_port() -> int:
    """A port on which nobody listens, and which this process gets once."""
    while True:
        port = _random.choice(_RANGE)
        if port in _given:
            continue
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
