"""The models, LoRAs, embeddings and autoencoders in the folders of a worker, by name."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jobs.names import DEFAULT_MODEL, find_name, model_named, plain_name, without_suffix
from stable_diffusion import tiny
from stable_diffusion.prompt.grammar import LoraTag
from stable_diffusion.weights.model_files import (
    is_model_folder,
    is_small_encoder,
    is_vae_beside,
    is_vae_folder,
    vae_name,
)
from worker.errors import UnknownLora, UnknownModel, UnknownVae
from worker.models.folder_entries import by_last_part, entries, is_file, path_name, walk
from worker.models.lora_folder import LoraFolder
from worker.models.model_key import LoraKey, ModelKey, file_signature

MODEL_SUFFIXES = (".safetensors", ".ckpt")  # the safe format is preferred
_OTHER_FOLDERS = ("vae", "upscalers")
"""Folders of the models folder whose files are no models."""
VAE_SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
_VAES = "vae"
"""The folder of the autoencoders, in the models folder."""
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
        self._loras_dir = loras_dir
        self.lora_folder = LoraFolder(loras_dir, tiny.LORA_PATHS)
        self._embeddings_dir = embeddings_dir
        self.default = model_named(default_model)

    @property
    def models_dir(self) -> Path:
        """The folder of the models, which need not exist."""
        return self._models_dir

    @property
    def loras_dir(self) -> Path | None:
        """The folder of the LoRAs, which need not exist; None: there is none."""
        return self._loras_dir

    def installed(self) -> dict[str, Path]:
        """The path of every installed model by name. A user's file hides the shipped one.

        The name is an alias' canonical one, else the path in the models folder without its suffix.
        Of several files with one name the second has its full name; a safe format comes first.
        """
        found: dict[str, Path] = {}
        for path in self._model_paths():
            folder = path.relative_to(self._models_dir).parent.as_posix()
            below = "" if folder == "." else f"{plain_name(folder)}/"
            names = [below + without_suffix(path.name), below + plain_name(path.name)]
            if not below and model_named(path.name) != DEFAULT_MODEL:
                names.insert(0, model_named(path.name))
            free = [name for name in names if name not in found and name.lower() != DEFAULT_MODEL]
            if free:
                found[free[0]] = path
        for path in tiny.PATHS:
            if path.is_file():
                found.setdefault(model_named(path.name), path)
        return found

    def find(self, name: str) -> tuple[str, Path]:
        """The canonical name and the path of a model. Raises UnknownModel."""
        installed = self.installed()
        wanted = name
        if model_named(name) == DEFAULT_MODEL and plain_name(name) not in installed:
            wanted = self.default
        canonical = find_name(wanted, installed)
        if canonical is None:
            raise UnknownModel(model_named(wanted), installed)
        return canonical, installed[canonical]

    def _model_paths(self) -> list[Path]:
        """The files and folders of models, those first that have a model's canonical name."""
        below = (*(self._models_dir / name for name in _OTHER_FOLDERS),)
        others = [path for path in (*below, self._loras_dir, self._embeddings_dir) if path]
        paths = list(walk(self._models_dir, others, is_model_folder))
        files = [path for path in paths if is_file(path) and not is_vae_beside(path)]
        ordered = [*_by_suffix(files, MODEL_SUFFIXES), *(p for p in paths if not is_file(p))]
        return sorted(ordered, key=lambda p: model_named(p.name) != without_suffix(p.name))

    def model_key(
        self,
        name: str,
        loras: Sequence[LoraTag] = (),
        *,
        offloaded: bool = False,
        full: bool = False,
        vae: str | None = None,
    ) -> ModelKey:
        """The key of a model with these LoRAs and this autoencoder.

        Raises UnknownModel, UnknownLora, UnknownVae.
        """
        canonical, path = self.find(name)
        keys = tuple(self._lora_key(tag) for tag in loras if tag.weight or tag.unet_weight)
        key = ModelKey(canonical, path, file_signature(path), keys, offloaded, full)
        if vae is None:
            return key
        installed = self.vaes()
        found = find_name(vae, installed)
        if found is None:
            raise UnknownVae(vae, installed)
        chosen = installed[found]
        return replace(key, vae=chosen, vae_signature=file_signature(chosen))

    def vaes(self) -> dict[str, Path]:
        """The installed autoencoders: files, folders in diffusers' layout, and the shipped one.

        The two files of a small one, `taesd_decoder` and `taesd_encoder`, are one: `taesd`.
        """
        found: dict[str, Path] = {}
        folder = self._models_dir / _VAES
        files = [path for path in _files(folder, VAE_SUFFIXES) if not is_small_encoder(path)]
        folders = [path for path in entries(folder) if is_vae_folder(path)]
        for path in (*files, *folders):
            shown = vae_name(path)
            names = (without_suffix(shown), plain_name(shown), plain_name(path.name))
            free = [name for name in names if name not in found]
            if free:
                found[free[0]] = path
        if tiny.SMALL_DECODER_PATH.is_file():
            found.setdefault(tiny.SMALL_DECODER_PATH.stem, tiny.SMALL_DECODER_PATH)
        return found

    def loras(self) -> dict[str, Path]:
        """The installed LoRAs, by name: their path in the folder without suffix."""
        return self.lora_folder.installed()

    def embeddings(self) -> dict[str, Path]:
        """The installed embeddings, by name: their path in the folder without suffix."""
        folder, found = self._embeddings_dir, dict[str, Path]()
        if folder is None:
            return found
        for path in _by_suffix([*walk(folder)], EMBEDDING_SUFFIXES):
            found.setdefault(path_name(path, folder), path)
        return found

    def embedding_aliases(self) -> dict[str, Path]:
        """The installed embeddings by the last part of their names, where that is unique."""
        return by_last_part(self.embeddings())

    def _lora_key(self, tag: LoraTag) -> LoraKey:
        path = self.lora_folder.find(tag.name)
        if path is None:
            raise UnknownLora(tag.name, self.loras())
        return LoraKey(tag.name, path, file_signature(path), tag.weight, tag.unet_weight)


def _files(folder: Path | None, suffixes: Sequence[str]) -> list[Path]:
    """The files of a folder with one of the suffixes, in the order of the suffixes."""
    return _by_suffix([path for path in entries(folder) if is_file(path)], suffixes)


def _by_suffix(files: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """The files with one of the suffixes, in the order of the suffixes."""
    return [path for suffix in suffixes for path in files if path.suffix.lower() == suffix]
