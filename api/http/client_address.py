"""The address of a client, as the unit that a limit is counted for."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from flask import Request


def client_address(request: Request) -> str:
    """The client's IPv4 address, or its IPv6 network.

    A client with one IPv6 address usually has the 2^64 of its network. Behind proxies it is the
    address that the outermost trusted one has seen (TRUSTED_PROXIES).
    """
    address = request.remote_addr or ""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:  # a Unix socket has none
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))
    return str(parsed)
