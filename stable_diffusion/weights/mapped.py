"""Weights that lie in mapped files: pages the kernel lends, and takes back when nobody needs them.

They belong to private mappings that nobody writes to. Whoever reads a page that was given back gets
it from the file again, most often from the kernel's own memory of it.
"""

import ctypes
import mmap
from pathlib import Path

from torch import Tensor

_LIBC = ctypes.CDLL(None, use_errno=True)
_MAPS = Path("/proc/self/maps")
_DONT_NEED = 4  # MADV_DONTNEED of Linux


class MappedFiles:
    """Where this process has files mapped now, as the kernel says; empty where it does not say.

    It must not outlive the tensors it is asked about: their addresses may be given to others.
    """

    def __init__(self) -> None:
        lines = _MAPS.read_text().splitlines() if _MAPS.is_file() else []
        self._ranges = [
            (int(start, 16), int(end, 16))
            for start, end, inode in (
                (*line.split()[0].split("-"), line.split()[4]) for line in lines
            )
            if inode != "0"
        ]

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor has whole pages, and all of them are a file's."""
        if tensor.device.type != "cpu":
            return False  # another device's addresses mean nothing here
        start, end = _pages(tensor)
        return end > start and any(low <= start and end <= high for low, high in self._ranges)

    def give_back(self, tensor: Tensor) -> None:
        """Let the kernel take back the pages that a tensor was read from; nothing of other memory.

        Of memory that is no file's this must never be said: it would be wiped.
        """
        if self.holds(tensor):
            give_back(tensor)


def give_back(tensor: Tensor) -> None:
    """Give back the pages of a tensor that `MappedFiles` holds, while it lives."""
    start, end = _pages(tensor)
    _LIBC.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONT_NEED)


def _pages(tensor: Tensor) -> tuple[int, int]:
    """Where the tensor's first whole page begins, and its last one ends."""
    start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    return start, (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
