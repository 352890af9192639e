"""Opens a model in diffusers' layout: a folder with one subfolder for each of its networks.

Each network's weights are one file or several with an index, in full or in half precision;
.safetensors goes before .bin, and the plain name before one with a variant such as fp16.
"""

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from stable_diffusion.errors import ModelNotFound
from stable_diffusion.weights.checkpoint import PREDICTION_KEY, Checkpoint, open_checkpoint
from stable_diffusion.weights.places import PARTS, read_json, weight_files

_SCHEDULER = Path("scheduler") / "scheduler_config.json"
_PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}


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


def prediction_of(path: Path) -> str | None:
    """What the folder's scheduler says that the UNet estimates: `epsilon` or `v`."""
    file = path / _SCHEDULER
    if not file.is_file():
        return None
    return _PREDICTIONS.get(str(read_json(path, file).get("prediction_type")))
