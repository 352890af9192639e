"""The signature of webhook messages by Standard Webhooks 1.0 (standardwebhooks.com), and its keys.

A receiver that can verify a signature can make it, too. So each API key has secrets of its own,
derived from secrets that only this service knows; no receiver can sign messages to another one.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

_PREFIX = "whsec_"


def secret_bytes(secret: str) -> bytes:
    """The key in a secret of the form `whsec_` and base64.

    Raises:
        ValueError: it is not of that form, or not of 24 to 64 bytes. The message omits it.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError("must be whsec_ and base64 of 24 to 64 bytes")
    return key


@dataclass(frozen=True)
class WebhookSecrets:
    """What signs the messages: each secret makes a signature, so that secrets can be rotated.

    Attributes:
        masters: each gives every API key a secret of its own.
        shared: the same for all API keys.
    """

    masters: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether messages can be signed."""
        return bool(self.masters or self.shared)

    def own(self, submitter: str) -> tuple[str, ...]:
        """The secrets that only this submitter has, the newest first."""
        return tuple(_derived(master, submitter) for master in self.masters)

    def of(self, submitter: str) -> tuple[str, ...]:
        """The secrets that sign the messages about a submitter's jobs."""
        return self.own(submitter) + self.shared


def _derived(master: str, submitter: str) -> str:
    digest = hmac.digest(secret_bytes(master), f"webhooks of {submitter}".encode(), hashlib.sha256)
    return _PREFIX + base64.b64encode(digest).decode()


def signed_headers(
    secrets: Sequence[str], message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The headers that let a receiver verify the sender and the time of a message.

    Args:
        secrets: each makes a signature, so that secrets can be rotated.
        message_id: the same at every attempt.
        timestamp: of this attempt, in seconds since the epoch.
        body: exactly as it is sent.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    digests = [hmac.digest(secret_bytes(secret), content, hashlib.sha256) for secret in secrets]
    signatures = [f"v1,{base64.b64encode(digest).decode()}" for digest in digests]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
