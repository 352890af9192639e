"""Opens a model in diffusers' layout: a folder with one subfolder for each of its networks.

Each network's weights are one file or several with an index, in full or in half precision;
.safetensors goes before .bin, and the plain name before one with a variant such as fp16.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from stable_diffusion.errors import ModelNotFound, UnreadableModel
from stable_diffusion.weights.checkpoint import PREDICTION_KEY, Checkpoint, open_checkpoint

# subfolder -> the stems its weights may have
PARTS = {
    "unet": ("diffusion_pytorch_model",),
    "vae": ("diffusion_pytorch_model",),
    "text_encoder": ("model", "pytorch_model"),
}
_SUFFIXES = (".safetensors", ".bin")
_INDEX = ".index.json"
_SCHEDULER = Path("scheduler") / "scheduler_config.json"
_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}


def is_model_folder(path: Path) -> bool:
    """Whether a folder looks like a model in diffusers' layout."""
    return (path / "model_index.json").is_file() or (path / "unet").is_dir()


def open_folder(path: Path) -> Checkpoint:
    """Open a folder as diffusers' `save_pretrained` writes it. Its tokenizer is not needed.

    Raises:
        ModelNotFound: there is no such folder.
        UnreadableModel: a network's weights are missing or damaged; the message names the file.
    """
    if not path.is_dir():
        raise ModelNotFound(f"model folder {path.name!r} does not exist")
    places: dict[str, Callable[[str], Tensor]] = {}
    for part in PARTS:
        for file in weight_files(path, part):
            opened = open_checkpoint(file)
            places |= {f"{part}.{name}": opened.read for name in opened.names}

    def read(name: str) -> Tensor:
        return places[name](name.partition(".")[2])

    stated = prediction_of(path)
    metadata = {PREDICTION_KEY: stated} if stated else {}
    return Checkpoint(path, frozenset(places), read, metadata, "diffusers")


def weight_files(path: Path, part: str) -> list[Path]:
    """The files that hold the weights of one part of a model folder, at least one.

    Raises UnreadableModel.
    """
    folder = path / part
    for suffix in _SUFFIXES:
        for stem in PARTS[part]:
            found = _first(folder, stem, suffix)
            if found is not None:
                return _shards(path, found) if found.suffix == ".json" else [found]
    raise UnreadableModel(
        f"model folder {path.name!r} has no weights in {part!r}: a "
        f"{PARTS[part][0]}.safetensors or .bin was expected"
    )


def prediction_of(path: Path) -> str | None:
    """What the folder's scheduler says that the UNet estimates: `epsilon` or `v`."""
    file = path / _SCHEDULER
    if not file.is_file():
        return None
    return _PREDICTIONS.get(str(_read_json(path, file).get("prediction_type")))


def _first(folder: Path, stem: str, suffix: str) -> Path | None:
    """The weights or their index: the plain name, else the first of the variants."""
    plain = (folder / f"{stem}{suffix}", folder / f"{stem}{suffix}{_INDEX}")
    variants = sorted(
        file
        for pattern in (f"{stem}.*{suffix}", f"{stem}.*{suffix}{_INDEX}", f"{stem}{suffix}.*.json")
        for file in folder.glob(pattern)
        # weights before averaging draw worse: any other variant is better
        if "non_ema" not in file.name
    )
    return next((file for file in (*plain, *variants) if file.is_file()), None)


def _shards(path: Path, index: Path) -> list[Path]:
    names = _read_json(path, index).get("weight_map")
    if not isinstance(names, dict) or not names:
        raise UnreadableModel(f"model folder {path.name!r}: {index.name} lists no files")
    files = sorted({str(name) for name in names.values()})
    for name in files:
        # an index may come from anywhere, and must not lead out of the folder
        if Path(name).name != name or not (index.parent / name).is_file():
            raise UnreadableModel(
                f"model folder {path.name!r} lacks {name!r}, which {index.name} lists"
            )
    return [index.parent / name for name in files]


def _read_json(path: Path, file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UnreadableModel(
            f"model folder {path.name!r}: {file.name} cannot be read: {error}"
        ) from error
    return content if isinstance(content, dict) else {}
