"""Adds changes to weights, and keeps the sums in memory or in an unnamed file.

A sum is computed in pieces that stay in a core's cache, and before it is written to a file in
memory that is used for all of them: fresh memory of this size costs more than the arithmetic.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stable_diffusion.lora.layer_change import LowRank
from stable_diffusion.weights.mapped import MappedFiles, release_freed
from stable_diffusion.weights.unnamed_file import UnnamedFile

MIN_BYTES = 256 * 2**20
"""Bytes of changed weights below which a file on disk saves no memory worth the writing."""
_TRIM_BYTES = 128 * 2**20
"""Bytes after which freed memory is released: what lies between small blocks added up to 1.3 GB."""
_PIECE = 2**18
"""Values that are computed at once: in float32 they fit into a core's cache."""


class Scaled(NamedTuple):
    """A change of a weight: in its shape, or as the factors of it; and its strength."""

    change: Tensor | LowRank
    strength: float


class Merger:
    """Adds changes to the weights of one model. Not safe to share between threads.

    Args:
        folder: where the file is; None: sums are in memory.
        size: the most bytes of all sums together.
        count: how many they are at most.
    """

    def __init__(self, folder: Path | None, size: int, count: int) -> None:
        self._file: UnnamedFile | None = None
        self._scratch: dict[torch.dtype, Tensor] = {}
        self._untrimmed = 0
        if folder is not None:
            with suppress(OSError):  # then they stay in memory, as without a folder
                self._file = UnnamedFile(folder, size, count)
                self._mapped = MappedFiles()

    def merged(self, weight: Tensor, changes: Sequence[Scaled], dtype: torch.dtype) -> Tensor:
        """The sum in `dtype`, in the memory layout of the weight.

        Pages of the weight that were read are released.

        Args:
            changes: at least one.
        """
        total = self._room(weight, dtype)
        _sum(weight, changes, total)
        kept = self._kept(total)
        if self._file is not None:
            self._mapped.release(weight)
            self._untrimmed += sum(c.nbytes for c, _ in changes if isinstance(c, Tensor))
            if self._untrimmed > _TRIM_BYTES:
                self._untrimmed = 0
                release_freed()
        return kept

    def finish(self) -> None:
        """Release the memory that was used for the sums."""
        self._scratch.clear()
        if self._file is not None:
            release_freed()

    def _room(self, weight: Tensor, dtype: torch.dtype) -> Tensor:
        if self._file is None:
            return torch.empty_like(weight, dtype=dtype, memory_format=torch.preserve_format)
        room = self._scratch.get(dtype)
        if room is None or room.numel() < weight.numel():
            room = self._scratch[dtype] = torch.empty(weight.numel(), dtype=dtype)
        return room.as_strided(weight.shape, weight.stride())

    def _kept(self, total: Tensor) -> Tensor:
        if self._file is None:
            return total
        kept = self._file.keep(total)
        return total.clone(memory_format=torch.preserve_format) if kept is total else kept


def _sum(weight: Tensor, changes: Sequence[Scaled], total: Tensor) -> None:
    """Compute the weight with all changes into `total`."""
    last = weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last)
    matrices = [
        (change.up, _matrix(change.down, last)) if isinstance(change, LowRank) else None
        for change, _ in changes
    ]
    on_cpu = weight.device.type == "cpu"
    rows = max(1, _PIECE // max(1, weight[0].numel())) if on_cpu else len(weight)
    for start in range(0, len(weight), rows):
        piece = slice(start, start + rows)
        sums = weight[piece].to(torch.float32, copy=True)
        for (change, strength), factors in zip(changes, matrices, strict=True):
            if factors:
                _matrix(sums, last).addmm_(factors[0][piece], factors[1], alpha=strength)
            elif isinstance(change, Tensor):
                sums.add_(change[piece], alpha=strength)
        total[piece] = sums


def _matrix(tensor: Tensor, last: bool) -> Tensor:
    """The rows of a tensor, each in the order of the weight's memory."""
    return (tensor.permute(0, 2, 3, 1) if last else tensor).flatten(1)
