"""The text chunks of a PNG, which are left out before it is opened.

They hold what programs write about a picture, such as a workflow of ComfyUI of some MB. Pillow
unpacks them all and refuses the file when they are long (MAX_TEXT_CHUNK, MAX_TEXT_MEMORY).
"""

from collections.abc import Iterator

MAX_ORIENTATION_BYTES = 1 << 16
"""Of a chunk of text that may hold the orientation; EXIF in a JPEG has the same limit."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_ORIENTATION_TEXTS = tuple(
    kind + name
    for kind in _TEXT
    for name in (b"exif\0", b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
)
ORIENTATION_CHUNKS = (b"eXIf", *_ORIENTATION_TEXTS)
"""How the chunks begin in which Pillow looks for the orientation, before or after the pixels."""


def is_png(data: bytes) -> bool:
    """Whether a file begins as a PNG."""
    return data.startswith(_SIGNATURE)


def size_of(png: bytes) -> tuple[int, int]:
    """Its width and height in pixels."""
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def chunks_of(png: bytes) -> Iterator[memoryview]:
    """Its chunks, from length to checksum; the last one may be cut off."""
    at = len(_SIGNATURE)
    while at < len(png):
        end = at + int.from_bytes(png[at : at + 4]) + 12
        yield memoryview(png)[at:end]
        at = end


def without_text(png: bytes) -> bytes:
    """A PNG without its text, apart from short chunks that may hold the orientation."""
    if not any(kind in png for kind in _TEXT):
        return png
    kept = bytearray(_SIGNATURE)
    for chunk in chunks_of(png):
        if not _is_left_out(chunk):
            kept += chunk
    return bytes(kept)


def _is_left_out(chunk: memoryview) -> bool:
    begins = bytes(chunk[4:40])
    holds_orientation = begins.startswith(_ORIENTATION_TEXTS)
    return begins.startswith(_TEXT) and not (
        holds_orientation and len(chunk) <= MAX_ORIENTATION_BYTES
    )
