"""The LoRAs in a worker's folder and the folders below it, by all names that a prompt may use."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.names import plain_name
from stable_diffusion.bundled_embeddings import BUNDLED_PREFIX, bundled_embedding
from worker.models.file_readings import FileReadings
from worker.models.folder_entries import by_last_part, is_file, walk
from worker.models.safetensors_header import read_header

_SUFFIX = ".safetensors"
# PEFT gives this name to each of its files, so the folder's name is the LoRA's
_PEFT_STEM = "adapter_model"


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
        shipped: further LoRAs; a user's file hides the one of its name.
    """

    def __init__(self, folder: Path | None, shipped: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._shipped = shipped
        self._headers = FileReadings[LoraHeader](_read_header)

    def installed(self) -> dict[str, Path]:
        """The path of every LoRA, by name."""
        found: dict[str, Path] = {}
        for path in walk(self._folder) if self._folder else ():
            if self._folder is None or path.suffix.lower() != _SUFFIX:
                continue
            relative = path.relative_to(self._folder).with_suffix("")
            peft = relative.name == _PEFT_STEM and len(relative.parts) > 1
            name = (relative.parent if peft else relative).as_posix()
            found.setdefault(plain_name(name), path)
        for path in filter(is_file, self._shipped):
            found.setdefault(path.stem, path)
        return found

    def aliases(self) -> dict[str, Path]:
        """The path of every LoRA by its other names; a name that several have is none of theirs."""
        installed = self.installed()
        found = by_last_part(installed)
        trained = [(self._header(path).alias, path) for path in installed.values()]
        counts = Counter(name for name, _ in trained)
        for name, path in trained:
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
        return self._headers.of(path) or LoraHeader()


def _read_header(path: Path) -> LoraHeader:
    header = read_header(path)
    bundled = (bundled_embedding(name) for name in header.shapes if name.startswith(BUNDLED_PREFIX))
    return LoraHeader(
        plain_name(header.metadata.get("ss_output_name", "")),
        frozenset(found[0] for found in bundled if found),
    )
