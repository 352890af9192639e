"""Ready copies: a model's weights on disk in their final type and layout, to be mapped as they are.

Loading one takes no time and no memory of its own: the pages are the kernel's, and all workers of
a machine share them. A copy bears the fingerprint of the weights it was made from, so that of
changed weights is simply another. It is written beside a note of its own checksum; one that was
touched since then is summed up again before it is used.
"""

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families import family_by_id
from stable_diffusion.families.family import Prediction
from stable_diffusion.half_precision import with_half_unet
from stable_diffusion.networks import Networks, parts_of, size_of
from stable_diffusion.weights.reading import Weights
from stable_diffusion.weights.state_dict_loading import assign, empty_networks

_FORMAT = "2"
_LAST = ":channels_last"
_PREDICTIONS: dict[str, Prediction | None] = {"": None, "epsilon": "epsilon", "v": "v"}
_SUFFIX = ".safetensors"
_TYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
_WORTH_IT = 256 * 2**20
"""Bytes of a model below which a copy saves nothing that is felt."""
_SPARE = 2 * 2**30
"""Bytes of the disk that copies leave free."""


class WeightCache:
    """The copies in one folder, the least recently used of which leave when they get too large.

    Args:
        folder: where they are; need not exist.
        most_bytes: how much they may take together; 0: none is made and none is used.
        worth_it: bytes of a model below which none is made.
    """

    def __init__(self, folder: Path, most_bytes: int, *, worth_it: int = _WORTH_IT) -> None:
        self._folder = folder
        self._most = most_bytes
        self._worth_it = worth_it
        self._writing = threading.Lock()

    def holds(self, fingerprint: str, dtype: torch.dtype) -> bool:
        """Whether there is a copy of these weights."""
        return self._path(fingerprint, dtype).is_file()

    def open(self, fingerprint: str, dtype: torch.dtype) -> Weights | None:
        """The copy of these weights, mapped; None when there is none, or one that is damaged."""
        path = self._path(fingerprint, dtype)
        if not self._most or not path.is_file():
            return None
        try:
            if not self._intact(path):
                raise UnreadableModel(f"{path.name} is not as it was written")
            weights = _read(path, fingerprint)
        except (OSError, SafetensorError, ValueError, KeyError, UnreadableModel):
            self._remove(path)
            return None
        with suppress(OSError):
            _note(path).touch()  # when it was last used
        return weights

    def write(self, fingerprint: str, weights: Weights) -> bool:
        """Write a copy of a loaded model, whole or not at all.

        Returns:
            Whether there is one now: not if it is not worth it, or finds no room.
        """
        dtype = weights.networks.unet.dtype
        size = size_of(weights.networks)
        path = self._path(fingerprint, dtype)
        if not self._worth_it <= size <= self._most:
            return False
        partial = path.with_suffix(f".{os.getpid()}.partial")
        with self._writing:
            if path.is_file():
                return True
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._make_room(size)
                if shutil.disk_usage(self._folder).free < size + _SPARE:
                    return False
                checksum = _write(partial, weights, fingerprint)
                partial.replace(path)
                status = path.stat()
                note = {"sha256": checksum, "touched": [status.st_mtime_ns, status.st_size]}
                _note(path).write_text(json.dumps(note))
            except OSError:
                self._remove(partial)
                self._remove(path)
                return False
        return True

    def _intact(self, path: Path) -> bool:
        note = json.loads(_note(path).read_text())
        status = path.stat()
        if note["touched"] == [status.st_mtime_ns, status.st_size]:
            return True
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == note["sha256"]

    def _make_room(self, size: int) -> None:
        for partial in self._folder.glob("*.partial"):
            # of a process that died while it wrote
            if not Path(f"/proc/{partial.suffixes[-2][1:]}").exists():
                partial.unlink(missing_ok=True)
        copies = [path for path in self._folder.glob(f"*{_SUFFIX}") if _note(path).is_file()]
        copies.sort(key=lambda path: _note(path).stat().st_mtime_ns)
        taken = sum(path.stat().st_size for path in copies)
        for path in copies:
            if taken + size <= self._most:
                return
            taken -= path.stat().st_size
            self._remove(path)

    def _path(self, fingerprint: str, dtype: torch.dtype) -> Path:
        return self._folder / f"{fingerprint[:32]}-{str(dtype).rpartition('.')[2]}{_SUFFIX}"

    @staticmethod
    def _remove(path: Path) -> None:
        # whoever has it mapped keeps it until it is done
        with suppress(OSError):
            path.unlink(missing_ok=True)
            _note(path).unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


def _read(path: Path, fingerprint: str) -> Weights:
    file = safe_open(path, framework="pt")
    metadata = file.metadata() or {}
    if (metadata["format"], metadata["fingerprint"]) != (_FORMAT, fingerprint):
        raise UnreadableModel(f"{path.name} is a copy of other weights")
    family = family_by_id(metadata["family"])
    networks = empty_networks(family)
    states: dict[str, dict[str, Tensor]] = {}
    for key in file.keys():  # noqa: SIM118 - it is no dictionary
        part, _, name = key.partition(".")
        tensor = file.get_tensor(key)
        if name.endswith(_LAST):
            name, tensor = name.removesuffix(_LAST), tensor.permute(0, 3, 1, 2)
        states.setdefault(part, {})[name] = tensor
    if "half_unet" in states:
        networks = with_half_unet(networks, torch.bfloat16)
    for part, module in parts_of(networks):
        if states.get(part, {}).keys() != dict(module.named_parameters()).keys():
            raise UnreadableModel(f"{path.name} is incomplete")
        assign(module, states[part], torch.device("cpu"))
    with path.open("rb") as mapped, suppress(OSError, AttributeError):
        os.posix_fadvise(mapped.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
    return Weights(family, networks, _PREDICTIONS[metadata["prediction"]], mapped=True)


def _write(path: Path, weights: Weights, fingerprint: str) -> str:
    """Write tensor by tensor, so that nothing is held twice; returns the file's SHA-256.

    The library's own writer takes all tensors as bytes first.
    """
    checksum = hashlib.sha256()
    header = _header(weights, fingerprint)
    with path.open("wb") as out:
        for block in (len(header).to_bytes(8, "little"), header):
            out.write(block)
            checksum.update(block)
        for _, tensor in _tensors(weights.networks):
            block = tensor.view(torch.uint8).reshape(-1).numpy().data
            out.write(block)
            checksum.update(block)
        out.flush()
        os.fsync(out.fileno())
    return checksum.hexdigest()


def _header(weights: Weights, fingerprint: str) -> bytes:
    header: dict[str, Any] = {
        "__metadata__": {
            "format": _FORMAT,
            "fingerprint": fingerprint,
            "family": weights.family.id,
            "prediction": weights.declared_prediction or "",
        }
    }
    end = 0
    for name, tensor in _tensors(weights.networks):
        start, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    # the data begins at a multiple of 64 bytes, as vector instructions like it
    return text + b" " * (-(len(text) + 8) % 64)


def _tensors(networks: Networks) -> Iterator[tuple[str, Tensor]]:
    """Every weight as it lies in memory, under its name in a copy."""
    for part, module in parts_of(networks):
        for name, parameter in module.named_parameters():
            tensor = parameter.detach()
            if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
                yield f"{part}.{name}{_LAST}", tensor.permute(0, 2, 3, 1)
            else:
                yield f"{part}.{name}", tensor
