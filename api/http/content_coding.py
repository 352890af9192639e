"""The Content-Encoding of a request's body: gzip, or none."""

import zlib

from flask import Request

from api.errors import BodyTooLarge, UnknownEncoding, UnreadableBody

_GZIP = ("gzip", "x-gzip")
_GZIP_BITS = 16 + zlib.MAX_WBITS


def content_coding(request: Request) -> bool:
    """Whether the body is compressed with gzip. Raises UnknownEncoding for any other coding."""
    sent = request.headers.get("Content-Encoding", "").strip().lower()
    if sent in ("", "identity"):
        return False
    if sent not in _GZIP:
        raise UnknownEncoding(f"Content-Encoding: {sent[:40]} is not read: send gzip, or none")
    return True


def inflated(body: bytes | bytearray, limit: int) -> bytes:
    """The content of a gzip body.

    Args:
        body: compressed, of one member as every client writes it.
        limit: the largest content, in bytes; no more than that is unpacked.

    Raises:
        BodyTooLarge: the content is larger.
        UnreadableBody: it is no gzip, or its end is missing.
    """
    member = zlib.decompressobj(_GZIP_BITS)
    try:
        content = member.decompress(body, limit + 1)
    except zlib.error as error:
        raise UnreadableBody("the body is not gzip, as its Content-Encoding says") from error
    if len(content) > limit:
        raise BodyTooLarge(f"the body is larger than {limit // 1024**2} MiB uncompressed")
    if not member.eof or member.unused_data:
        raise UnreadableBody("the gzip of the body is cut off, or more follows it")
    return content
