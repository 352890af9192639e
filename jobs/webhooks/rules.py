"""Which webhook URLs are allowed: none that leads into the private network of this service.

A name is resolved once, all of its addresses are checked, and the message is sent to a checked
address, so that a name which resolves to another address later (DNS rebinding) changes nothing.
"""

import socket
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from jobs.errors import WebhookRefused

_PORTS = {"https": 443, "http": 80}
# IPv6 addresses with an IPv4 address in their last 32 bits, to which they are routed (NAT64).
_TRANSLATED = IPv6Network("64:ff9b::/96")
_TRANSLATED_LOCALLY = IPv6Network("64:ff9b:1::/48")

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, kw_only=True)
class WebhookRules:
    """Which URLs are allowed.

    Attributes:
        on: whether webhooks are enabled; they need a secret that signs them.
        allow_private: also addresses that are not public.
        allow_http: also http.
        resolve_seconds: how long a name may take to be resolved.
    """

    on: bool = False
    allow_private: bool = False
    allow_http: bool = False
    resolve_seconds: float = 3.0

    def check(self, url: str) -> tuple[str, ...]:
        """The addresses that a message to `url` may be sent to, in order of preference.

        Raises WebhookRefused.
        """
        if not self.on:
            raise WebhookRefused("webhooks are off here", "the field left out")
        parts, host, port = _read(url)
        if parts.scheme != "https" and not self.allow_http:
            raise WebhookRefused("is not https", "an https URL")
        addresses = _resolved(host, port, self.resolve_seconds)
        if not self.allow_private and not all(map(is_public, addresses)):
            raise WebhookRefused("leads to an address that is not public", "a public host")
        return tuple(map(str, addresses))


def is_public(address: Address) -> bool:
    """Whether an address is public, also if it is an IPv4 address embedded in an IPv6 one."""
    if isinstance(address, IPv6Address):
        if inner := address.ipv4_mapped or address.sixtofour:
            return is_public(inner)
        if address in _TRANSLATED:
            return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address in _TRANSLATED_LOCALLY or address.is_site_local or address.teredo:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _read(url: str) -> tuple[SplitResult, str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise WebhookRefused("is no URL of http or https", "an https URL") from error
    if not host:
        raise WebhookRefused("names no host", "an https URL")
    if parts.username is not None or parts.password is not None:
        raise WebhookRefused("carries a user's name", "a URL without one")
    return parts, host, port


def _resolved(host: str, port: int, seconds: float) -> list[Address]:
    """The addresses of a host. Resolving cannot be interrupted, so a thread does it."""
    found: Future[Iterable[str]] = Future()

    def resolve() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.set_result(dict.fromkeys(str(info[4][0]) for info in infos))
        except (OSError, UnicodeError) as error:
            found.set_exception(error)

    threading.Thread(target=resolve, name="resolve", daemon=True).start()
    try:
        return [ip_address(address) for address in found.result(seconds)]
    except (OSError, UnicodeError, ValueError, TimeoutError) as error:
        raise WebhookRefused("names a host that cannot be resolved", "a public host") from error
