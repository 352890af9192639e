"""Opens the files that hold a model's weights, in either layout, without reading the weights.

A pickle is opened with `weights_only` and never runs code; there is no other way to open one.
"""

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from stable_diffusion.errors import ModelNotFound, UnreadableModel
from stable_diffusion.families.parts.part import Layout

PREDICTION_KEY = "prediction"
# Keys under which a pickle may keep its tensors; upscalers' averaged weights are preferred.
WRAPPERS = ("state_dict", "params_ema", "params")


@dataclass(frozen=True)
class Checkpoint:
    """Opened weights, whose tensors are read one by one.

    Attributes:
        path: the file or folder.
        names: of the tensors; in a diffusers folder each begins with its network's subfolder:
            `unet.`, `vae.`, `text_encoder.`.
        read: returns a tensor by name, backed by the mapped file.
        metadata: the file's own.
        layout: how the tensors are named.
    """

    path: Path
    names: frozenset[str]
    read: Callable[[str], Tensor]
    metadata: Mapping[str, str]
    layout: Layout = "original"


def open_checkpoint(path: Path) -> Checkpoint:
    """Open a .safetensors, .ckpt, .pth, .pt or .bin file.

    Raises:
        ModelNotFound: there is no such file.
        UnreadableModel: it is damaged, of another type, or a pickle that holds more than tensors.
    """
    if not path.is_file():
        raise ModelNotFound(f"model file {path.name!r} does not exist")
    try:
        if path.suffix == ".safetensors":
            file = safe_open(path, framework="pt")
            return Checkpoint(path, frozenset(file.keys()), file.get_tensor, file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise UnreadableModel(f"model file {path.name!r} cannot be read: {error}") from error
    tensors = read_pickle(path)
    for wrapper in WRAPPERS:
        if isinstance(tensors.get(wrapper), dict):
            tensors = tensors[wrapper]
            break
    names = frozenset(n for n, value in tensors.items() if isinstance(value, Tensor))
    return Checkpoint(path, names, tensors.__getitem__, {})


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary that torch saved in a file; empty where it saved something else.

    Raises:
        UnreadableModel: it is damaged, of another type, or holds what would run code.
    """
    try:
        # files from before torch wrote zip archives cannot be mapped
        mapped = zipfile.is_zipfile(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise UnreadableModel(f"model file {path.name!r} cannot be read: {error}") from error
    except Exception as error:  # torch's UnpicklingError and zip errors share no narrower class
        raise UnreadableModel(
            f"model file {path.name!r} is not a safe checkpoint: it is damaged, or a pickle that "
            "holds more than tensors and could run code"
        ) from error
    return content if isinstance(content, dict) else {}
