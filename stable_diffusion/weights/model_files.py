"""The files that hold a model's weights: one, or those of a folder in diffusers' layout.

Imports no torch: a worker lists its models before it has imported it.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from stable_diffusion import families
from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families.parts.part import Part
from stable_diffusion.weights import small_files

_SUFFIXES = (".safetensors", ".bin")
_INDEX = ".index.json"
_SHARD = re.compile(r"-\d{5}-of-\d{5}\.")
_BESIDE = (".vae.safetensors", ".vae.pt", ".vae.ckpt")
"""What the file of another autoencoder for a model adds to the model's name."""
_HALF = re.compile(r"(.+?)[-_. ]?(decoder|encoder)", re.IGNORECASE)
"""How the files of a small autoencoder are called whose encoder is in a file of its own."""


def is_vae_beside(path: Path) -> bool:
    """Whether a file is an autoencoder for the model beside it, by its name."""
    return path.name.lower().endswith(_BESIDE)


def vae_beside(path: Path) -> Path | None:
    """The autoencoder beside a model, which is used in place of its own; None: there is none."""
    name = path.name if path.is_dir() else path.stem
    for suffix in _BESIDE:
        found = path.with_name(name.rstrip() + suffix)
        if found.is_file():
            return found
    return None


def vae_name(path: Path) -> str:
    """What results call an autoencoder's file or folder: `taesd_decoder.pth` is `taesd.pth`."""
    half = None if path.is_dir() else _HALF.fullmatch(path.stem)
    return f"{half[1]}{path.suffix}" if half else path.name


def is_small_encoder(path: Path) -> bool:
    """Whether a file is the encoder of a small autoencoder, by its name."""
    half = _HALF.fullmatch(path.stem)
    return bool(half and half[2].lower() == "encoder")


def small_encoder_beside(path: Path) -> Path | None:
    """The encoder of a small autoencoder beside its decoder; None: there is none."""
    half = _HALF.fullmatch(path.stem)
    if half is None or half[2].lower() == "encoder":
        return None
    cased = {"decoder": "encoder", "Decoder": "Encoder", "DECODER": "ENCODER"}.get(half[2])
    found = path.with_name(f"{path.stem[: half.start(2)]}{cased}{path.suffix}")
    return found if found.is_file() else None


def is_vae_folder(path: Path) -> bool:
    """Whether a folder is an autoencoder in diffusers' layout; False if it cannot be read."""
    try:
        return (path / "config.json").is_file() and not is_model_folder(path)
    except OSError:
        return False


def vae_weight_files(path: Path) -> list[Path]:
    """The files that hold an autoencoder's weights. Raises UnreadableModel."""
    if not path.is_dir():
        return [path]
    return weight_files(path, replace(families.FAMILIES[0].part("vae"), folder="."))


def is_model_folder(path: Path) -> bool:
    """Whether a folder looks like a model in diffusers' layout; False if it cannot be read."""
    try:
        return (path / "model_index.json").is_file() or (path / "unet").is_dir()
    except OSError:
        return False


def files_of(path: Path) -> list[Path]:
    """The files that hold a model's weights. Raises UnreadableModel for a folder without them."""
    if not path.is_dir() or is_vae_folder(path):
        return vae_weight_files(path)
    return [file for part in parts_in(path) for file in weight_files(path, part)]


def parts_in(path: Path) -> tuple[Part, ...]:
    """The networks whose weights a model folder holds, by the subfolders it has.

    They are those of the family that lacks the fewest of its subfolders; of several such families,
    of the one that has the most.
    """

    def fit(parts: tuple[Part, ...]) -> tuple[int, int]:
        present = sum((path / part.folder).is_dir() for part in parts)
        return present - len(parts), present

    parts = max((family.parts for family in families.FAMILIES), key=fit)
    # text encoders last: the fingerprint of a folder depends on the order of its files
    return tuple(sorted(parts, key=lambda part: ("unet", "vae", part.name).index(part.name)))


def weight_files(path: Path, part: Part) -> list[Path]:
    """The files that hold the weights of one network of a model folder, at least one.

    Raises UnreadableModel.
    """
    folder = path / part.folder
    for suffix in _SUFFIXES:
        for stem in part.file_stems:
            found = _first(folder, stem, suffix)
            if found is not None:
                return _shards(path, found) if found.suffix == ".json" else [found]
    raise UnreadableModel(
        f"model folder {path.name!r} has no weights in {part.folder!r}: a "
        f"{part.file_stems[0]}.safetensors or .bin was expected"
    )


def _first(folder: Path, stem: str, suffix: str) -> Path | None:
    """The weights or their index: under the plain name, else under the first of its variants."""
    plain = (folder / f"{stem}{suffix}", folder / f"{stem}{suffix}{_INDEX}")
    variants = sorted(
        file
        for pattern in (f"{stem}.*{suffix}", f"{stem}.*{suffix}{_INDEX}", f"{stem}{suffix}.*.json")
        for file in folder.glob(pattern)
        # weights before averaging give worse images: any other variant is better; a shard is not
        # the whole, which its index lists
        if "non_ema" not in file.name and not _SHARD.search(file.name)
    )
    return next((file for file in (*plain, *variants) if file.is_file()), None)


def _shards(path: Path, index: Path) -> list[Path]:
    names = read_json(path, index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise UnreadableModel(f"model folder {path.name!r}: {index.name} lists no files")
    files = sorted({str(name) for name in names.values()})
    for name in files:
        # a downloaded index must not lead out of the folder
        if Path(name).name != name or not (index.parent / name).is_file():
            raise UnreadableModel(
                f"model folder {path.name!r} lacks {name!r}, which {index.name} lists"
            )
    return [index.parent / name for name in files]


def read_json(path: Path, file: Path) -> dict[str, Any]:
    """The object in a JSON file of a model folder. Raises UnreadableModel."""
    try:
        content = small_files.read_json(file)
    except (OSError, ValueError) as error:
        raise UnreadableModel(
            f"model folder {path.name!r}: {file.name} cannot be read: {error}"
        ) from error
    return content if isinstance(content, dict) else {}
