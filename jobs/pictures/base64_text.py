"""Base64 as people have it: with line breaks, of either alphabet, with or without padding."""

import binascii
import re

import pybase64
from pydantic_core import PydanticCustomError

_INVISIBLE = "\ufeff\u200b"
"""A byte order mark, and the space without width of copied text."""
_DATA_URL = re.compile(
    rf"""[\s{_INVISIBLE}]*+(data:)?((?:[^,"]|"[^"]{{0,200}}"){{0,200}}),""", re.IGNORECASE
)
_ENCODED = re.compile(r"(?:.*;)?\s*base64\s*", re.IGNORECASE | re.DOTALL)
_URL_ENCODED = re.compile(r"%(2B|2F|3D|0A|0D|20)", re.IGNORECASE)
_OTHER = re.compile(rf"[^A-Za-z0-9+/_=\s{_INVISIBLE}-]")
_PADDING_INSIDE = re.compile(r"=\s*[^=\s]")
_ADDRESS = re.compile(r"\s*(https?|file|ftp)://", re.IGNORECASE)
_NO_INVISIBLE = dict.fromkeys(map(ord, _INVISIBLE))
_STANDARD = bytes.maketrans(b"-_", b"+/")


def decode_base64(text: str) -> bytes:
    """The bytes in base64 text.

    A `data:` URL of any type is read, also without its `data:`, the standard and the URL-safe
    alphabet, white space anywhere, `%2B`, `%2F` and `%3D` for `+`, `/` and `=`, and text without
    its padding.

    Raises:
        PydanticCustomError: code not_base64; it says what is wrong and at which character.
    """
    prefix = _DATA_URL.match(text)
    if prefix and not _ENCODED.fullmatch(prefix[2]):
        if prefix[1]:
            raise _not_base64("is a data: URL without ;base64 before its comma")
        prefix = None
    at = prefix.end() if prefix else 0
    try:
        return pybase64.b64decode(text[at:] if at else text, validate=True)
    except (binascii.Error, ValueError):
        pass  # not as RFC 4648 has it
    if _ADDRESS.match(text):
        raise _not_base64("is an address, which is not fetched: send the file itself, as base64")
    return _decode_loose(text, at)


def _decode_loose(text: str, at: int) -> bytes:
    if "%" in text:
        text = text[:at] + _URL_ENCODED.sub(lambda code: chr(int(code[1], 16)), text[at:])
    if other := _OTHER.search(text, at):
        character = other[0].encode("utf-8", "replace").decode()
        raise _not_base64(f"is not base64: character {other.start() + 1} is {character!r}")
    if inside := _PADDING_INSIDE.search(text, at):
        position = inside.start() + 1
        raise _not_base64(f"is not base64: character {position} is '=', and more text follows it")
    visible = "".join(text[at:].split()).translate(_NO_INVISIBLE)
    letters = visible.encode().translate(_STANDARD)
    bare = letters.rstrip(b"=")
    if len(letters) - len(bare) > 2:
        raise _not_base64("is not base64: more than two '=' are at its end")
    if len(bare) % 4 == 1:
        raise _not_base64(f"is not base64: the last of its {len(bare)} characters is half a byte")
    return pybase64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)


def _not_base64(problem: str) -> PydanticCustomError:
    return PydanticCustomError("not_base64", "{problem}", {"problem": problem})
