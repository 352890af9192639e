"""The API's keys: who may submit a job, and who may cancel it."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flask import Request

from api.errors import Unauthorized
from jobs.records.record import ANY_SUBMITTER

DUMMY_KEY = "lksalsdfjliadfds"
"""The key that the README prints. It is public."""


class KeyRing:
    """The known keys, kept as hashes only.

    Every comparison is with hashes of equal length, and with all of them, so that the time of an
    answer reveals nothing about a key.

    Args:
        keys: may submit jobs, and cancel their own.
        admin_keys: may cancel all jobs as well.
    """

    def __init__(self, keys: Iterable[str], admin_keys: Iterable[str] = ()) -> None:
        self._admins = [_hash(key) for key in admin_keys]
        self._hashes = [_hash(key) for key in keys] + self._admins
        if not self._hashes:
            raise ValueError("at least one API key is needed")

    def authenticate(self, candidates: Iterable[object]) -> "Caller":
        """The caller that sent these values as keys; the first known one names the submitter.

        Raises:
            Unauthorized: none of them is a known key.
        """
        known = [key for key in candidates if self.knows(key)]
        if not known:
            raise Unauthorized("Unauthorized")
        submitter = hashlib.sha256(f"submitter:{known[0]}".encode()).hexdigest()[:16]
        admin = any([self.is_admin(key) for key in known])
        return Caller(submitter, ANY_SUBMITTER if admin else submitter)

    def knows(self, key: object) -> bool:
        """Whether `key`, as a header or a JSON body had it, is a known one."""
        return _among(self._hashes, key)

    def is_admin(self, key: object) -> bool:
        """Whether `key` may cancel all jobs."""
        return _among(self._admins, key)

    @property
    def has_dummy(self) -> bool:
        """Whether the README's key is a known one."""
        return self.knows(DUMMY_KEY)


@dataclass(frozen=True)
class Caller:
    """The sender of a request.

    Attributes:
        submitter: a short digest of its key.
        may_cancel: the submitter whose jobs it may cancel: itself, or ANY_SUBMITTER.
    """

    submitter: str
    may_cancel: str


def read_keys(path: Path) -> tuple[str, ...]:
    """The keys of a file, one a line; empty lines and lines that begin with # are skipped.

    Raises:
        ValueError: it cannot be read, or holds no key. The message repeats none of its content.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError("is not a text file in UTF-8") from error
    keys = tuple(key for line in lines if (key := line.strip()) and not key.startswith("#"))
    if not keys:
        raise ValueError("holds no key")
    return keys


def header_keys(request: Request) -> Iterator[str]:
    """What a request carries in X-API-Key, as a Bearer token, or as the password of Basic.

    Clients that know only a user's name and password can send a key as the password; the name is
    not looked at.
    """
    yield _decoded(request.headers.get("X-API-Key", ""))
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield _decoded(token.strip())
    elif scheme.lower() == "basic":
        yield _password(token.strip())


def _password(token: str) -> str:
    """The password in the token of Basic authentication (RFC 7617); empty if there is none."""
    try:
        text = base64.b64decode(token, validate=True)
    except ValueError:
        return ""
    # The bytes: a name in another encoding, such as the Latin-1 of requests, hides no password.
    return text.partition(b":")[2].decode("utf-8", "replace")


def _decoded(header: str) -> str:
    """A header's value as UTF-8: WSGI decodes headers as Latin-1."""
    return header.encode("latin-1", "replace").decode("utf-8", "replace")


def _among(hashes: Iterable[bytes], key: object) -> bool:
    if not isinstance(key, str):
        return False
    candidate = _hash(key)
    return any([hmac.compare_digest(candidate, known) for known in hashes])


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
