"""A file that is no model is named for what it is."""

import gzip
import io
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.weights.checkpoint import open_checkpoint

WHOLE = save({"a": torch.ones(64)})
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7\nsize 4265380512\n"


def pickled() -> bytes:
    out = io.BytesIO()
    torch.save({"a": torch.ones(4)}, out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.safetensors", b"", "is empty"),
        ("x.ckpt", b"", "is empty"),
        ("x.safetensors", b"<!DOCTYPE html><title>404</title>", "a web page"),
        ("x.ckpt", b"\xef\xbb\xbf\n <HTML><body>log in", "a web page"),
        ("x.safetensors", b"<?xml version='1.0'?><Error>", "an XML text"),
        ("x.safetensors", "<html>".encode("utf-16"), "a web page"),
        ("x.ckpt", b"<script>location = '/login'</script>", "a web page"),
        ("x.safetensors", b"Entry not found", "is a text, not a model: Entry not found"),
        ("x.ckpt", b"Invalid username or password.\n", "is a text, not a model: Invalid user"),
        ("x.ckpt", pickled()[:-200], "is truncated: the end of its archive"),
        ("x.ckpt", pickled() + bytes(100_000), "zeros after its end"),
        ("x.safetensors", LFS, "a Git LFS pointer"),
        ("x.safetensors", b"\xef\xbb\xbf" + LFS, "a Git LFS pointer"),
        ("x.ckpt", LFS, "git lfs pull"),
        ("x.safetensors", b'{"error": "Unauthorized"}', 'a JSON text, not a model: {"error"'),
        ("x.safetensors", bytes(100_000), "begins with zeros"),
        ("x.ckpt", bytes(100_000), "begins with zeros"),
        ("x.safetensors", WHOLE[:-10], f"should have {len(WHOLE)} bytes and has {len(WHOLE) - 10}"),
        ("x.safetensors", WHOLE[:20], "is truncated: its header has"),
        ("x.safetensors", WHOLE + bytes(1000), "has 1000 zeros after its end"),
        ("x.safetensors", WHOLE + b"more", "has 4 bytes after its end"),
        ("x.safetensors", pickled(), "is a pickle, not a .safetensors"),
        ("x.ckpt", WHOLE, "is a .safetensors under the suffix .ckpt"),
        ("x.pt", gzip.compress(b"x", mtime=0), "a gzip archive"),
        ("x.safetensors", b"PK\x03\x04 my-model.zip", "a ZIP archive"),
        ("x.safetensors", b"GGUF\3\0\0\0", "a GGUF model"),
        ("x.safetensors", b"\x10\0\0\0\0\0\0\0{" + b"[" * 15, "a damaged header"),
    ],
)
def test_it_is_named(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableModel) as caught:
        open_checkpoint(path)
    assert str(caught.value).startswith(f"model file {name!r} ")
    assert says in str(caught.value)


def test_a_file_in_capitals_opens(tmp_path: Path) -> None:
    path = tmp_path / "X.SAFETENSORS"
    path.write_bytes(WHOLE)
    assert open_checkpoint(path).names == {"a"}


@pytest.mark.parametrize(("kind", "size"), [("F4", 2), ("F6_E2M3", 3)])
def test_a_type_that_cannot_be_converted_is_named(tmp_path: Path, kind: str, size: int) -> None:
    header = json.dumps({"a": {"dtype": kind, "shape": [2, 2], "data_offsets": [0, size]}}).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    with pytest.raises(UnreadableModel, match=r"'x\.safetensors' cannot be read: a: "):
        open_checkpoint(path).read("a")
