"""The header of a .safetensors file, read without its tensors and without torch.

Its format: https://huggingface.co/docs/safetensors.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LONGEST = 1 << 26
_TITLES = ("modelspec.title", "ss_output_name", "modelspec.architecture")


@dataclass(frozen=True)
class Header:
    """A header.

    Attributes:
        metadata: what the file says of itself.
        shapes: of its tensors, by name.
    """

    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])

    @property
    def titles(self) -> tuple[str, ...]:
        """What its author and its trainer call it."""
        return tuple(self.metadata[key] for key in _TITLES if self.metadata.get(key))


def read_header(path: Path) -> Header:
    """The header of a file; an empty one if it has none. Raises OSError."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= _LONGEST else b""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return Header()
    if not isinstance(content, Mapping):
        return Header()
    metadata = content.get("__metadata__")
    texts = metadata.items() if isinstance(metadata, Mapping) else ()
    return Header(
        {key: value for key, value in texts if isinstance(value, str)}, dict(_shapes(content))
    )


def _shapes(content: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, described in content.items():
        shape = described.get("shape") if isinstance(described, Mapping) else None
        if name != "__metadata__":
            sides = shape if isinstance(shape, list) else []
            yield name, tuple(side for side in sides if isinstance(side, int))
