"""Who may start a job: the API's keys, and where a request may carry one."""

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Request

from api.errors import Unauthorized
from jobs.record import ANY_SUBMITTER

DUMMY_KEY = "lksalsdfjliadfds"
"""The key that the README prints. Anybody knows it."""


class KeyRing:
    """The keys that are let in, kept as hashes only.

    Hashes of equal length are compared, all of them every time, so the time of an answer tells
    nothing about a key.

    Args:
        keys: those that are let in.
        admin_keys: those that are let in and may cancel everybody's jobs.
    """

    def __init__(self, keys: Iterable[str], admin_keys: Iterable[str] = ()) -> None:
        self._admins = [_hash(key) for key in admin_keys]
        self._hashes = [_hash(key) for key in keys] + self._admins
        if not self._hashes:
            raise ValueError("at least one API key is needed")

    def admits(self, key: object) -> bool:
        """Whether `key`, as it came out of a header or a JSON body, is one of ours."""
        return _among(self._hashes, key)

    def is_admin(self, key: object) -> bool:
        """Whether `key` may cancel everybody's jobs."""
        return _among(self._admins, key)

    @property
    def has_dummy(self) -> bool:
        """Whether the README's key opens this API."""
        return self.admits(DUMMY_KEY)


@dataclass(frozen=True)
class Caller:
    """Who sends a request.

    Attributes:
        submitter: a short digest of the key that was let in.
        may_cancel: whose jobs it may cancel: its own, or everybody's.
    """

    submitter: str
    may_cancel: str


def keys_in(path: Path) -> tuple[str, ...]:
    """The keys of a file: one a line; empty lines and lines that begin with # do not count.

    Raises:
        ValueError: it cannot be read, or holds no key. Nothing of what it holds is told.
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


def require_key(keys: KeyRing, request: Request, body: dict[str, Any]) -> Caller:
    """Let the request in if a header or its body carries a known key.

    Takes `api_key` out of `body`: the key goes no further. What cannot be a key stays, to be told
    with the other faults of the body, if a header has let the request in.

    Raises:
        Unauthorized.
    """
    carried: list[object] = [*_headers(request)]
    if isinstance(body.get("api_key"), str):
        carried.append(body.pop("api_key"))
    admitted = [key for key in carried if keys.admits(key)]
    if not admitted:
        raise Unauthorized("Unauthorized")
    submitter = hashlib.sha256(f"submitter:{admitted[0]}".encode()).hexdigest()[:16]
    admin = any([keys.is_admin(key) for key in admitted])
    return Caller(submitter, ANY_SUBMITTER if admin else submitter)


def _headers(request: Request) -> Iterator[str]:
    yield _text(request.headers.get("X-API-Key", ""))
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield _text(token.strip())


def _text(header: str) -> str:
    """A header's value as its sender wrote it: WSGI hands UTF-8 over as if it were Latin-1."""
    return header.encode("latin-1", "replace").decode("utf-8", "replace")


def _among(hashes: Iterable[bytes], key: object) -> bool:
    if not isinstance(key, str):
        return False
    asked = _hash(key)
    return any([hmac.compare_digest(asked, known) for known in hashes])


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
