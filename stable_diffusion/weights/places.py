"""Where a model's weights lie: its file, or the files of a folder in diffusers' layout.

Light on purpose (no torch): a worker tells what is installed before it has imported anything heavy.
"""

import json
from pathlib import Path
from typing import Any

from stable_diffusion.errors import UnreadableModel

# subfolder -> the stems its weights may have
PARTS = {
    "unet": ("diffusion_pytorch_model",),
    "vae": ("diffusion_pytorch_model",),
    "text_encoder": ("model", "pytorch_model"),
}
_SUFFIXES = (".safetensors", ".bin")
_INDEX = ".index.json"


def is_model_folder(path: Path) -> bool:
    """Whether a folder looks like a model in diffusers' layout."""
    return (path / "model_index.json").is_file() or (path / "unet").is_dir()


def files_of(path: Path) -> list[Path]:
    """The files that hold a model's weights. Raises UnreadableModel for a folder without them."""
    if not path.is_dir():
        return [path]
    return [file for part in PARTS for file in weight_files(path, part)]


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
    names = read_json(path, index).get("weight_map")
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


def read_json(path: Path, file: Path) -> dict[str, Any]:
    """The object in a JSON file of a model folder. Raises UnreadableModel."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UnreadableModel(
            f"model folder {path.name!r}: {file.name} cannot be read: {error}"
        ) from error
    return content if isinstance(content, dict) else {}
