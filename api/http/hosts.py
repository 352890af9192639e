"""Refuses requests whose Host header names another service (DNS rebinding).

A web page can point its own name at 127.0.0.1 and so make a browser on this machine read an API
that listens on the loopback interface only. The Host header then has the name of that page.
"""

from collections.abc import Sequence
from ipaddress import ip_address

from flask import Flask, request
from werkzeug.sansio.utils import host_is_trusted

from api.errors import UnknownHost

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
ANY_HOST = "*"
HEALTH_BLUEPRINT = "health"
"""Its routes are answered under every name: an orchestrator asks for them by the pod's address."""


def refuse_other_hosts(app: Flask, allowed: Sequence[str], bound_name: str) -> None:
    """Answer requests with an unknown Host by 421.

    Args:
        app: the application.
        allowed: the names in the setting ALLOWED_HOSTS; ANY_HOST among them allows all. Empty: all
            while the server listens on an address that other machines reach, else LOCAL_NAMES.
        bound_name: the setting API_HOST, which is allowed as well as LOCAL_NAMES.
    """
    if ANY_HOST in allowed:
        return

    @app.before_request
    def refuse() -> None:
        """Raises UnknownHost."""
        address = request.environ.get("SERVER_NAME", "")
        if request.blueprint == HEALTH_BLUEPRINT or not (allowed or _is_loopback(address)):
            return
        names = _written_as_hosts(allowed or (*LOCAL_NAMES, bound_name, address))
        host = request.headers.get("Host", address).lower()
        if not any(_has_name(host, name) for name in names):
            raise UnknownHost(
                f"the Host header must be one of {', '.join(names)}: if this service has the name "
                "that you used, add it to ALLOWED_HOSTS"
            )


def _has_name(host: str, name: str) -> bool:
    """Whether a host, with or without a port, has a name; `.example.org`: or one below it."""
    if name.startswith("["):  # host_is_trusted cannot compare IPv6 addresses
        return host == name or host.startswith(f"{name}:")
    return host_is_trusted(host, [name])


def _written_as_hosts(names: Sequence[str]) -> list[str]:
    """The names as a Host header has them: IPv6 addresses in brackets, each name once."""
    written = [f"[{name}]" if ":" in name and name[0] != "[" else name for name in names]
    return list(dict.fromkeys(name.lower() for name in written))


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
