"""Opens a model in diffusers' layout: a folder with one subfolder for each of its networks.

Each network's weights are one file or several with an index, in full or in half precision;
.safetensors is preferred to .bin, and the plain name to one with a variant such as fp16.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from stable_diffusion.errors import ModelNotFound
from stable_diffusion.weights.checkpoint import PREDICTION_KEY, Checkpoint, open_checkpoint
from stable_diffusion.weights.model_files import parts_in, read_json, weight_files

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
    readers: dict[str, Callable[[str], Tensor]] = {}
    for part in parts_in(path):
        for file in weight_files(path, part):
            opened = open_checkpoint(file)
            readers |= {f"{part.folder}.{name}": opened.read for name in opened.names}

    def read(name: str) -> Tensor:
        return readers[name](name.partition(".")[2])

    prediction = prediction_of(path)
    metadata = {PREDICTION_KEY: prediction} if prediction else {}
    return Checkpoint(path, frozenset(readers), read, metadata, "diffusers")


def prediction_of(path: Path) -> str | None:
    """What the UNet estimates by the folder's scheduler configuration: `epsilon` or `v`."""
    return _PREDICTIONS.get(str(_scheduler(path).get("prediction_type")))


def rescales_to_zero_snr(path: Path) -> bool:
    """Whether the noise levels end at pure noise by the folder's scheduler configuration."""
    return _scheduler(path).get("rescale_betas_zero_snr") is True


def _scheduler(path: Path) -> dict[str, Any]:
    file = path / _SCHEDULER
    return read_json(path, file) if file.is_file() else {}
