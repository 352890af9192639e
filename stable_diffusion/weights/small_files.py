"""Text files beside weights: configurations, indexes, notes. Anything may lie in a model's folder.

A file of a few bytes can take much: a nested one the stack, a compressed or repeated one the
memory. Imports no torch.
"""

import json
from pathlib import Path
from typing import Any

MAX_BYTES = 8 * 2**20
"""Larger than any of these files: the index of a model has a few hundred kilobytes."""


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, without a byte order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than MAX_BYTES, or not UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MiB")
    return content.decode("utf-8-sig")


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises OSError, or ValueError if it is none, or nested too deep."""
    try:
        return json.loads(read_text(path))
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
