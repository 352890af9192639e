"""How many clients may wait or stream at once, and which of them count as one."""

from api.http.places import Places, client_of, is_loopback
from api.settings import ApiSettings


class ClientShares:
    """The places for waiting and for event streams, of which one key or address has its share.

    Attributes:
        waits: for clients that wait for the end of a job.
        streams: for event streams.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self.waits = Places(settings.synchronous_slots, settings.client_share)
        self.streams = Places(settings.event_streams, settings.client_share)
        self._several_keys = len(settings.keys) + len(settings.all_admin_keys) > 1

    def holders(self, submitter: str, address: str) -> tuple[str, ...]:
        """For whom a place counts.

        Not for a key that everybody uses, and not for the address that all programs and proxies of
        this machine share.
        """
        holders = [f"key:{submitter}"] if self._several_keys and submitter else []
        if address and not is_loopback(address):
            holders.append(f"address:{client_of(address)}")
        return tuple(holders)
