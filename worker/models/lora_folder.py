"""The LoRAs in a worker's folder and the folders below it, by all names that a prompt may use."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.names import plain_name
from stable_diffusion.bundled_embeddings import BUNDLED_PREFIX, bundled_embedding
from worker.models.folder_entries import walk
from worker.models.model_key import FileSignature, file_signature

_SUFFIX = ".safetensors"
# PEFT gives this name to each of its files, so the folder's name is the LoRA's
_PEFT_STEM = "adapter_model"
_LONGEST_HEADER = 1 << 26


@dataclass(frozen=True)
class LoraHeader:
    """What the header of a file says, without its tensors.

    Attributes:
        alias: the name under which it was trained (`ss_output_name`); empty: none.
        embeddings: the names of the embeddings in it.
    """

    alias: str = ""
    embeddings: frozenset[str] = frozenset()


class LoraFolder:
    """The LoRAs in a folder. Reads it at every call, because files are added and removed.

    A LoRA is called by its path in the folder without suffix, `style/ink`; where that is unique
    also by the last part of it, `ink`, or by its alias.

    Args:
        folder: need not exist; None: there is none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._headers: dict[Path, tuple[FileSignature, LoraHeader]] = {}

    def installed(self) -> dict[str, Path]:
        """The path of every LoRA, by name."""
        found: dict[str, Path] = {}
        if self._folder is None:
            return found
        for path in walk(self._folder):
            if path.suffix.lower() != _SUFFIX:
                continue
            relative = path.relative_to(self._folder).with_suffix("")
            peft = relative.name == _PEFT_STEM and len(relative.parts) > 1
            name = (relative.parent if peft else relative).as_posix()
            found.setdefault(plain_name(name), path)
        return found

    def aliases(self) -> dict[str, Path]:
        """The path of every LoRA by its other names; a name that several have is none of theirs."""
        installed = self.installed()
        found: dict[str, Path] = {}
        by_stem = [(name.rpartition("/")[2], path) for name, path in installed.items()]
        by_alias = [(self._header(path).alias, path) for path in installed.values()]
        for names in (by_stem, by_alias):
            counts = Counter(name for name, _ in names)
            for name, path in names:
                if name and counts[name] == 1 and name not in installed:
                    found.setdefault(name, path)
        return found

    def embeddings(self) -> frozenset[str]:
        """The names of all embeddings that are in a LoRA's file."""
        return frozenset[str]().union(
            *(self._header(path).embeddings for path in self.installed().values())
        )

    def find(self, name: str) -> Path | None:
        """The path of the LoRA of this name; None: there is none, or there are several."""
        name = plain_name(name)
        return self.installed().get(name) or self.aliases().get(name)

    def _header(self, path: Path) -> LoraHeader:
        """The header of a file; an empty one if it cannot be read."""
        try:
            signature = file_signature(path)
            cached = self._headers.get(path)
            if cached is None or cached[0] != signature:
                cached = self._headers[path] = signature, _read_header(path)
        except OSError:
            return LoraHeader()
        return cached[1]


def _read_header(path: Path) -> LoraHeader:
    """Its format: https://huggingface.co/docs/safetensors."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= _LONGEST_HEADER else b""
    try:
        header: Any = json.loads(text)
    except (ValueError, RecursionError):
        return LoraHeader()
    if not isinstance(header, Mapping):
        return LoraHeader()
    metadata = header.get("__metadata__")
    alias = metadata.get("ss_output_name") if isinstance(metadata, Mapping) else None
    bundled = (bundled_embedding(name) for name in header if name.startswith(BUNDLED_PREFIX))
    return LoraHeader(
        plain_name(alias) if isinstance(alias, str) else "",
        frozenset(found[0] for found in bundled if found),
    )
