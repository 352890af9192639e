"""PNG files made by hand, as no library writes them."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, data: bytes) -> bytes:
    """A piece of a PNG, with its checksum."""
    checksum = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + checksum


def header(width: int, height: int, depth: int = 8, colours: int = 2) -> bytes:
    """The first piece; `colours` 0 is grey, 2 is RGB."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0))


def broken_pixels() -> bytes:
    """An RGB PNG whose checksums hold and whose pixels nobody can decode."""
    return SIGNATURE + header(64, 64) + chunk(b"IDAT", b"no deflate") + chunk(b"IEND", b"")


def broken_behind() -> bytes:
    """An RGB PNG with whole pixels and, behind them, a colour profile that no decoder expects."""
    rows = zlib.compress(bytes((3 * 64 + 1) * 64))
    profile = chunk(b"iCCP", b"\0")
    return SIGNATURE + header(64, 64) + chunk(b"IDAT", rows) + profile + chunk(b"IEND", b"")
