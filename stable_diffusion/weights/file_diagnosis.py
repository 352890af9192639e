"""Says what a file is that cannot be read as a model: most are failed downloads."""

import json
import re
import struct
import zipfile
from pathlib import Path

_HEAD = 512
_TAIL = 4096
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_WEB_PAGE = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f\x7f]")
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
    if head.startswith(_UTF16):
        head = head.decode("utf-16", "ignore").encode()
    head = head.removeprefix(b"\xef\xbb\xbf")
    start = head.lstrip().lower()
    if start.startswith(_WEB_PAGE):
        return "is a web page, not a model: download it again, logged in if the site demands it"
    if start.startswith(b"<?xml"):
        return "is an XML text, not a model: a server's error message, most likely"
    if head.startswith(b"version https://git-lfs.github.com/spec"):
        return "is a Git LFS pointer, not the model: fetch it with `git lfs pull`"
    if start.startswith((b"{", b"[")) and b"\0" not in head:
        return f"is a JSON text, not a model: {_first_line(head)}"
    if start and not _CONTROL.search(head):
        return f"is a text, not a model: {_first_line(head)}"
    return "" if any(head) else "begins with zeros: the download was interrupted"


def _first_line(head: bytes) -> str:
    return head.decode("utf-8", "replace").strip().splitlines()[0][:80]


def _binary(path: Path, head: bytes) -> str:
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        if head.startswith(_PICKLE) or (head.startswith(b"PK") and b"data.pkl" in head):
            return "is a pickle, not a .safetensors: rename it to .ckpt"
    elif head[8:9] == b"{":
        return f"is a .safetensors under the suffix {suffix}: rename it"
    if suffix != ".safetensors" and head.startswith(b"PK"):
        return _archive(path)
    kind = next((kind for magic, kind in _ARCHIVES.items() if head.startswith(magic)), "")
    return f"is {kind}, not a model" if kind else ""


def _archive(path: Path) -> str:
    """Whether a ZIP archive, which torch writes itself, lacks its end."""
    if zipfile.is_zipfile(path):
        return ""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, _TAIL), 2)
        if any(file.read()):
            return "is truncated: the end of its archive is missing"
    return "ends in zeros: the download was interrupted, or there are zeros after its end"


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
