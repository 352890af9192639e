"""Opens the files that hold a model's weights, in either layout, without reading the weights.

A pickle never runs code (`weights.pickles`); there is no other way to open one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from stable_diffusion.errors import ModelNotFound, UnreadableModel
from stable_diffusion.families.parts.part import Layout
from stable_diffusion.weights.file_diagnosis import diagnose
from stable_diffusion.weights.pickles import read_pickle

MAX_HEADER_BYTES = 16 * 2**20
"""Of a .safetensors file; that of a checkpoint has 0.3 MB, with a long training note 4 MB."""
PREDICTION_KEY = "prediction"
# Keys under which a pickle may keep its tensors; upscalers' averaged weights are preferred.
_WRAPPERS = ("state_dict", "params_ema", "params", "model", "module")
_PREFIXES = ("state_dict.", "module.", "_orig_mod.")
"""What a trainer, or torch.compile, may have put before all names."""
_MOST_WRAPPERS = 4


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
        UnreadableModel: it is damaged, or of another type; the message says what it is.
    """
    if not path.is_file():
        if path.exists():
            raise UnreadableModel(f"model file {path.name!r} is not a regular file")
        raise ModelNotFound(f"model file {path.name!r} does not exist")
    if path.suffix.lower() == ".safetensors":
        try:
            _check_header(path)
            file = safe_open(path, framework="pt")
            names, metadata = tuple(file.keys()), file.metadata() or {}
        except (SafetensorError, OSError, ValueError) as error:
            reason = diagnose(path) or f"cannot be read: {error}"
            raise UnreadableModel(f"model file {path.name!r} {reason}") from error

        def read(name: str) -> Tensor:
            try:
                tensor = file.get_tensor(name)
                if tensor.dtype == torch.float4_e2m1fn_x2:
                    raise ValueError("it is stored in 4 bits, which torch cannot convert")
            except (SafetensorError, ValueError) as error:
                raise UnreadableModel(
                    f"model file {path.name!r} cannot be read: {name}: {error}"
                ) from error
            return tensor

        return _without_prefix(path, names, read, metadata)
    tensors = read_pickle(path)
    for _ in range(_MOST_WRAPPERS):  # a dictionary may contain itself
        tensors = _wrapped(tensors) or tensors
    found = {name: each for name, each in _items(tensors) if isinstance(each, Tensor)}
    return _without_prefix(path, tuple(found), found.__getitem__, {})


def _wrapped(content: object) -> dict[object, object] | None:
    """The dictionary of tensors within one of a trainer; None if there is no further one."""
    if not isinstance(content, dict):
        return None
    found = (content.get(wrapper) for wrapper in _WRAPPERS)
    return next((each for each in found if isinstance(each, dict) and each), None)


def _items(content: object) -> list[tuple[str, object]]:
    """The items with names: a trainer's dictionary may have other keys as well."""
    if not isinstance(content, dict):
        return []
    return [(name, value) for name, value in content.items() if isinstance(name, str)]


def _without_prefix(
    path: Path, names: tuple[str, ...], read: Callable[[str], Tensor], metadata: Mapping[str, str]
) -> Checkpoint:
    """The checkpoint, its names without what a trainer has put before nearly all of them."""
    written = {name: name for name in names}

    def before_most(prefix: str) -> bool:
        return 2 * sum(name.startswith(prefix) for name in written) > len(written)

    while prefix := next(filter(before_most, _PREFIXES), ""):
        written = {name.removeprefix(prefix): whole for name, whole in written.items()}
    return Checkpoint(path, frozenset(written), lambda name: read(written[name]), metadata)


def _check_header(path: Path) -> None:
    """Refuse a .safetensors file whose header takes long to read; safetensors allows 100 MB."""
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
    if MAX_HEADER_BYTES < header_bytes <= path.stat().st_size:
        raise UnreadableModel(
            f"model file {path.name!r} cannot be read: its header has {header_bytes} bytes; at "
            f"most {MAX_HEADER_BYTES} are read"
        )
