"""Computed weights in a mapped file without a name, instead of in private memory.

Its pages can be released like those of the weight cache, by a job or by the kernel, and are read
again when they are needed. The file is gone when nothing refers to its tensors, or with the
process.
"""

import mmap
import os
import shutil
import tempfile
from pathlib import Path

import torch
from torch import Tensor

_FREE_BYTES = 2 * 2**30
"""Bytes of the disk that are left free."""


class UnnamedFile:
    """A file for tensors that are not changed.

    Args:
        folder: on whose disk it is.
        size: the most bytes of all its tensors together.
        tensors: how many they are at most.

    Raises:
        OSError: the disk has no room for it, or the folder takes no files.
    """

    def __init__(self, folder: Path, size: int, tensors: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(folder).free < size + _FREE_BYTES:
            raise OSError("too little room on the disk")
        # whole pages each, so that all of them can be released
        length = size + tensors * mmap.PAGESIZE
        self._end = 0
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as this
        self._file.truncate(length)
        self._mapping = mmap.mmap(self._file.fileno(), length, access=mmap.ACCESS_COPY)

    def keep(self, tensor: Tensor) -> Tensor:
        """The same values in the file, in the tensor's memory layout, which has no gaps.

        If the disk or the file is full, it is the tensor itself.
        """
        if not 0 < tensor.nbytes <= len(self._mapping) - self._end:
            return tensor
        values = tensor.as_strided((tensor.numel(),), (1,))  # in the order of its memory
        start = self._end
        if not self._written(values.view(torch.uint8).numpy().data, start):
            return tensor
        self._end += -(-tensor.nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        kept = torch.frombuffer(
            self._mapping, dtype=tensor.dtype, count=tensor.numel(), offset=start
        )
        return kept.as_strided(tensor.shape, tensor.stride())

    def _written(self, data: memoryview, start: int) -> bool:
        try:
            return os.pwrite(self._file.fileno(), data, start) == data.nbytes
        except OSError:
            return False
