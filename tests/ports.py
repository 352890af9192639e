"""Ports for the servers that tests start."""

import random
import socket

_given: set[int] = set()
# Below the range from which Linux takes ports by itself (net.ipv4.ip_local_port_range). A server
# that is stopped and started again on its port finds it free: no connection of another test has
# been given it meanwhile. Seeded by the system, so that processes side by side seldom agree.
_RANGE = range(10_000, 32_768)
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
