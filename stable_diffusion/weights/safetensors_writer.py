"""Writes a .safetensors file tensor by tensor; safetensors' own writer needs all of them at once.

The header lies before the tensors, but says what they are: so its place is left free, and it is
written last. The rest of that place is blank, which the format allows.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

_DATA_OFFSET = 2**20
"""Where the tensors begin: Stable Diffusion XL has 2515, whose header takes a third of that.

Vector instructions load fastest from addresses that are multiples of 64.
"""
_TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


class SafetensorsWriter:
    """A file that is being written. Use it in a `with` block; without `finish` it has no header.

    Args:
        path: overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._file.write(b" " * _DATA_OFFSET)
        self._checksum = hashlib.sha256()
        self._threads = ThreadPoolExecutor(2, "safetensors")
        self._pending: list[Future[Any]] = []
        self._header: dict[str, Any] = {}
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._threads.shutdown()
        self._file.close()

    def add(self, name: str, tensor: Tensor) -> None:
        """Write a contiguous tensor on the CPU, which must not change any more.

        It is written beside what the caller does next, which is to compute another tensor.

        Raises:
            OSError: it, or the tensor before, cannot be written.
        """
        self._wait()
        start, self._end = self._end, self._end + tensor.nbytes
        self._header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, self._end],
        }
        block = tensor.view(torch.uint8).reshape(-1).numpy().data
        self._pending = [
            self._threads.submit(self._checksum.update, block),
            self._threads.submit(self._file.write, block),
        ]

    def finish(self, metadata: Mapping[str, str]) -> str:
        """Write the header; returns what `checksum_of` will return for the file.

        Raises:
            OSError.
            ValueError: the header has no room.
        """
        self._wait()
        room = _DATA_OFFSET - 8
        text = json.dumps({"__metadata__": dict(metadata), **self._header}).encode()
        if len(text) > room:
            raise ValueError(f"a header of {len(text)} bytes has no room in {room}")
        header = room.to_bytes(8, "little") + text.ljust(room)
        self._file.seek(0)
        self._file.write(header)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._checksum.update(header)
        return self._checksum.hexdigest()

    def _wait(self) -> None:
        """Until the tensor before is written, so that no more than two are in memory."""
        while self._pending:
            self._pending.pop().result()


def checksum_of(path: Path) -> str:
    """SHA-256 of the tensors, then of what lies before them. Raises OSError."""
    with path.open("rb") as file:
        header = file.read(_DATA_OFFSET)
        checksum = hashlib.file_digest(file, "sha256")
    checksum.update(header)
    return checksum.hexdigest()
