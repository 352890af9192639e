"""Says what a file is that cannot be read as a model: most are failed downloads."""

import json
import struct
from pathlib import Path

_HEAD = 512
_PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_ARCHIVES = {
    b"PK\x03\x04": "a ZIP archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"GGUF": "a GGUF model, which this service does not read",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
}


def diagnose(path: Path) -> str:
    """What is wrong with a file, after "model file 'name' "; empty if it looks like a model.

    Reads the first bytes, and of a .safetensors its declared length. Never raises.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD)
        return _text(head) or _binary(path, head) or _length(path, size)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"


def _text(head: bytes) -> str:
    if not head:
        return "is empty: the download was interrupted"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<!--")):
        return "is a web page, not a model: download it again, logged in if the site demands it"
    if start.startswith(b"<?xml"):
        return "is an XML text, not a model: a server's error message, most likely"
    if head.startswith(b"version https://git-lfs.github.com/spec"):
        return "is a Git LFS pointer, not the model: fetch it with `git lfs pull`"
    if start.startswith((b"{", b"[")) and b"\0" not in head:
        shown = head.decode("utf-8", "replace").strip().splitlines()[0][:80]
        return f"is a JSON text, not a model: {shown}"
    return "" if any(head) else "begins with zeros: the download was interrupted"


def _binary(path: Path, head: bytes) -> str:
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        if head.startswith(_PICKLE) or (head.startswith(b"PK") and b"data.pkl" in head):
            return "is a pickle, not a .safetensors: rename it to .ckpt"
    elif head[8:9] == b"{":
        return f"is a .safetensors under the suffix {suffix}: rename it"
    if suffix != ".safetensors" and head.startswith(b"PK"):
        return ""  # torch writes ZIP archives itself
    kind = next((kind for magic, kind in _ARCHIVES.items() if head.startswith(magic)), "")
    return f"is {kind}, not a model" if kind else ""


def _length(path: Path, size: int) -> str:
    """Whether a .safetensors is shorter or longer than its header says."""
    if path.suffix.lower() != ".safetensors" or size < 8:
        return ""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > size - 8:
            return f"is truncated: its header has {length} bytes, the file {size}"
        try:
            header = json.loads(file.read(length))
            ends = [each["data_offsets"][1] for name, each in header.items() if name[:2] != "__"]
            whole = 8 + length + max(ends, default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return "has a damaged header"
        if whole > size:
            return f"is truncated: it should have {whole} bytes and has {size}"
        if whole < size:
            file.seek(whole)
            zeros = not any(any(block) for block in iter(lambda: file.read(1 << 20), b""))
            what = "zeros" if zeros else "bytes"
            return f"has {size - whole} {what} after its end: it should have {whole} bytes"
    return ""
