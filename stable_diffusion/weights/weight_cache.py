"""A cache on disk of models' weights in their final type and layout, which are mapped, not read.

Opening an entry takes no time and no private memory: its pages are in the kernel's page cache, and
all workers of a machine share them. An entry contains the fingerprint of the weights it was made
from, so changed weights get another entry. Its checksum, time and size are kept in a file beside
it; if time or size differ, the checksum is verified before the entry is used.
"""

import fcntl
import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from stable_diffusion.errors import UnreadableModel
from stable_diffusion.families import family_by_id
from stable_diffusion.families.family import Prediction
from stable_diffusion.networks import parts_of
from stable_diffusion.weights.reading import Weights
from stable_diffusion.weights.safetensors_writer import SafetensorsWriter, checksum_of
from stable_diffusion.weights.state_dict_loading import Place, assign, empty_networks

_FORMAT = "4"
_CHANNELS_LAST = ":channels_last"
_PREDICTIONS: dict[str, Prediction | None] = {"": None, "epsilon": "epsilon", "v": "v"}
_SUFFIX, _PARTIAL = ".safetensors", ".partial"
_MIN_BYTES = 256 * 2**20
"""Bytes of a model below which a cache entry saves no noticeable time."""
_POLL_SECONDS = 0.1
_FREE_BYTES = 2 * 2**30
"""Bytes of the disk that the cache leaves free."""


class WeightCache:
    """The cache in one folder; the least recently used entries are removed to keep to its size.

    Args:
        folder: need not exist.
        max_bytes: size of all entries together; 0: nothing is written or used.
        min_bytes: size of a model below which no entry is written.
    """

    def __init__(self, folder: Path, max_bytes: int, *, min_bytes: int = _MIN_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._min_bytes = min_bytes
        self._writing = threading.Lock()

    def open(self, fingerprint: str, dtype: torch.dtype) -> Weights | None:
        """The weights, mapped; None when there is no entry or a damaged one, which is removed."""
        path = self._path(fingerprint, dtype)
        if not self._max_bytes or not path.is_file():
            return None
        try:
            if not self._intact(path):
                raise UnreadableModel(f"{path.name} has changed since it was written")
            weights = _read(path, fingerprint)
        except (OSError, SafetensorError, ValueError, KeyError, UnreadableModel):
            self._remove(path)
            return None
        with suppress(OSError):
            _note(path).touch()  # marks when it was last used
        return weights

    def write_while(
        self,
        read: Callable[[Place], Weights],
        fingerprint: Future[str],
        dtype: torch.dtype,
        size: int,
        on_wait: Callable[[], object] = lambda: None,
    ) -> bool:
        """Write an entry, whole or not at all, while the weights are read.

        So they are never all in memory.

        Args:
            read: reads them, has every one placed, and returns them; the networks may be empty.
            fingerprint: is waited for after the reading, so that it can be computed beside.
            dtype: of the UNet.
            size: bytes of all weights.
            on_wait: called several times a second while another thread writes its entry.

        Returns:
            Whether there is one now; there is none if the model is too small, or the disk too full.

        Raises:
            What `read`, `fingerprint` or `on_wait` does.
        """
        if not self._min_bytes <= size <= self._max_bytes:
            return False
        with self._turn(on_wait):
            if fingerprint.done() and self._path(fingerprint.result(), dtype).is_file():
                return True
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._make_room(size)
                if shutil.disk_usage(self._folder).free < size + _FREE_BYTES:
                    return False
                with _partial(self._folder) as entry, _partial(self._folder) as note:
                    checksum = _write(entry, read, fingerprint)
                    status = entry.stat()
                    touched = [status.st_mtime_ns, status.st_size]
                    note.write_text(json.dumps({"sha256": checksum, "touched": touched}))
                    path = self._path(fingerprint.result(), dtype)
                    # first the note: others remove an entry that has none
                    note.replace(_note(path))
                    entry.replace(path)
            except OSError:
                return False
        return True

    @contextmanager
    def _turn(self, on_wait: Callable[[], object]) -> Iterator[None]:
        """One thread writes at a time: reading another model may take minutes."""
        while not self._writing.acquire(timeout=_POLL_SECONDS):
            on_wait()
        try:
            yield
        finally:
            self._writing.release()

    def _intact(self, path: Path) -> bool:
        note = json.loads(_note(path).read_text())
        status = path.stat()
        if note["touched"] == [status.st_mtime_ns, status.st_size]:
            return True
        return checksum_of(path) == note["sha256"]

    def _make_room(self, size: int) -> None:
        for partial in self._folder.glob(f"*{_PARTIAL}"):
            # left by a process that died while writing: a living one has it locked
            with suppress(OSError), partial.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial.unlink(missing_ok=True)
        entries = [path for path in self._folder.glob(f"*{_SUFFIX}") if _note(path).is_file()]
        entries.sort(key=lambda path: _note(path).stat().st_mtime_ns)
        total = sum(path.stat().st_size for path in entries)
        for path in entries:
            if total + size <= self._max_bytes:
                return
            total -= path.stat().st_size
            self._remove(path)

    def _path(self, fingerprint: str, dtype: torch.dtype) -> Path:
        return self._folder / f"{fingerprint[:32]}-{str(dtype).rpartition('.')[2]}{_SUFFIX}"

    @staticmethod
    def _remove(path: Path) -> None:
        # processes that have it mapped keep its pages
        with suppress(OSError):
            path.unlink(missing_ok=True)
            _note(path).unlink(missing_ok=True)


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """A file to write, which is gone at the end unless it was renamed.

    Processes of other containers may share the folder and have the same ids, so its name is random
    and a lock says that somebody writes it.
    """
    partial = folder / f"{secrets.token_hex(8)}{_PARTIAL}"
    try:
        with partial.open("wb") as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield partial
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _read(path: Path, fingerprint: str) -> Weights:
    file = safe_open(path, framework="pt")
    metadata = file.metadata() or {}
    if (metadata["format"], metadata["fingerprint"]) != (_FORMAT, fingerprint):
        raise UnreadableModel(f"{path.name} was made from other weights")
    family = family_by_id(metadata["family"])
    networks = empty_networks(family)
    states: dict[str, dict[str, Tensor]] = {}
    for key in file.keys():  # noqa: SIM118 - it is no dictionary
        part, _, name = key.partition(".")
        tensor = file.get_tensor(key)
        if name.endswith(_CHANNELS_LAST):
            name, tensor = name.removesuffix(_CHANNELS_LAST), tensor.permute(0, 3, 1, 2)
        states.setdefault(part, {})[name] = tensor
    for part, module in parts_of(networks):
        if states.get(part, {}).keys() != dict(module.named_parameters()).keys():
            raise UnreadableModel(f"{path.name} is incomplete")
        assign(module, states[part], torch.device("cpu"))
    with path.open("rb") as mapped, suppress(OSError, AttributeError):
        os.posix_fadvise(mapped.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
    prediction, zero_snr = _PREDICTIONS[metadata["prediction"]], bool(metadata["zero_snr"])
    return Weights(family, networks, prediction, mapped=True, zero_snr=zero_snr)


def _write(path: Path, read: Callable[[Place], Weights], fingerprint: Future[str]) -> str:
    """Write tensor by tensor, so that nothing is in memory twice; returns the file's checksum."""
    with SafetensorsWriter(path) as file:

        def place(name: str, tensor: Tensor) -> None:
            if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
                file.add(f"{name}{_CHANNELS_LAST}", tensor.permute(0, 2, 3, 1))
            else:
                file.add(name, tensor)

        weights = read(place)
        return file.finish(
            {
                "format": _FORMAT,
                "fingerprint": fingerprint.result(),
                "family": weights.family.id,
                "prediction": weights.declared_prediction or "",
                "zero_snr": "yes" if weights.zero_snr else "",
            }
        )
