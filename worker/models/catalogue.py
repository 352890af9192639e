"""The models, LoRAs and embeddings in the folders of a worker, by name."""

from collections.abc import Sequence
from pathlib import Path

from jobs.names import DEFAULT_MODEL, model_named
from stable_diffusion import tiny
from stable_diffusion.prompt.grammar import LoraTag
from stable_diffusion.weights.model_files import is_model_folder
from worker.errors import UnknownLora, UnknownModel
from worker.models.folder_entries import entries, is_file
from worker.models.lora_folder import LoraFolder
from worker.models.model_key import LoraKey, ModelKey, file_signature

MODEL_SUFFIXES = (".safetensors", ".ckpt")  # the safe format is preferred
EMBEDDING_SUFFIXES = (".safetensors", ".pt", ".bin")


class Catalogue:
    """The folders of a worker. Reads them at every call, because files are added and removed.

    Args:
        models_dir: checkpoints and folders in diffusers' layout; need not exist.
        default_model: the model that the name `default` stands for.
        loras_dir, embeddings_dir: need not exist.
    """

    def __init__(
        self,
        models_dir: Path,
        default_model: str,
        *,
        loras_dir: Path | None = None,
        embeddings_dir: Path | None = None,
    ) -> None:
        self._models_dir = models_dir
        self.lora_folder = LoraFolder(loras_dir)
        self._embeddings_dir = embeddings_dir
        self.default = model_named(default_model)

    def installed(self) -> dict[str, Path]:
        """The path of every installed model by name. A user's file hides the shipped one."""
        found: dict[str, Path] = {}
        for path in (*_files(self._models_dir, MODEL_SUFFIXES), *_folders(self._models_dir)):
            found.setdefault(model_named(path.name), path)
        for path in tiny.PATHS:
            if path.is_file():
                found.setdefault(model_named(path.name), path)
        return found

    def find(self, name: str) -> tuple[str, Path]:
        """The canonical name and the path of a model. Raises UnknownModel."""
        canonical = model_named(name)
        if canonical == DEFAULT_MODEL:
            canonical = self.default
        installed = self.installed()
        if canonical not in installed:
            raise UnknownModel(canonical, installed)
        return canonical, installed[canonical]

    def model_key(
        self, name: str, loras: Sequence[LoraTag] = (), *, offloaded: bool = False
    ) -> ModelKey:
        """The key of a model with these LoRAs. Raises UnknownModel, UnknownLora."""
        canonical, path = self.find(name)
        keys = tuple(self._lora_key(tag) for tag in loras if tag.weight or tag.unet_weight)
        return ModelKey(canonical, path, file_signature(path), keys, offloaded)

    def loras(self) -> dict[str, Path]:
        """The installed LoRAs, by name: their path in the folder without suffix."""
        return self.lora_folder.installed()

    def embeddings(self) -> dict[str, Path]:
        """The installed embeddings."""
        return _by_stem(_files(self._embeddings_dir, EMBEDDING_SUFFIXES))

    def _lora_key(self, tag: LoraTag) -> LoraKey:
        path = self.lora_folder.find(tag.name)
        if path is None:
            raise UnknownLora(tag.name, self.loras())
        return LoraKey(tag.name, path, file_signature(path), tag.weight, tag.unet_weight)


def _files(folder: Path | None, suffixes: Sequence[str]) -> list[Path]:
    """The files of a folder with one of the suffixes, in the order of the suffixes."""
    files = [path for path in entries(folder) if is_file(path)]
    return [path for suffix in suffixes for path in files if path.suffix.lower() == suffix]


def _folders(models_dir: Path) -> list[Path]:
    """The folders of the models folder that are models in diffusers' layout."""
    return [path for path in entries(models_dir) if is_model_folder(path)]


def _by_stem(files: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files:
        found.setdefault(path.stem, path)
    return found
