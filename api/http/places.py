"""A number of places of which one client can have its share only."""

import math
from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Lock
from typing import Literal

Refusal = Literal["full", "share"]


class Places:
    """Counts who holds how many. Safe to share between threads.

    Args:
        count: how many places there are.
        share: the part of them that one holder may have, 0 to 1; at least one place.
    """

    def __init__(self, count: int, share: float) -> None:
        self.count = count
        self.share = max(1, math.floor(count * share))
        self._taken = 0
        self._held: Counter[str] = Counter()
        self._lock = Lock()

    def take(self, *holders: str) -> Refusal | None:
        """Take a place, which counts for each holder; None if there was one.

        Returns:
            `full`: none is free; `share`: one of the holders has its share already.
        """
        with self._lock:
            if self._taken >= self.count:
                return "full"
            if any(self._held[holder] >= self.share for holder in holders):
                return "share"
            self._taken += 1
            self._held.update(holders)
            return None

    def free(self, *holders: str) -> None:
        """Give a place back. The same holders as in `take`."""
        with self._lock:
            self._taken -= 1
            self._held.subtract(holders)
            self._held += Counter()  # drops those who hold none


def client_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the network of an IPv6 address.

    A host or a home with IPv6 has a network of 64 bits to itself.
    """
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address) and not parsed.is_loopback:
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed or address)


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own: all its users and proxies have the same."""
    parsed = _parsed(address)
    return parsed is not None and parsed.is_loopback


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed
