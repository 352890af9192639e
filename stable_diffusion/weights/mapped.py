"""Weights in mapped files, whose pages can be released while the tensors stay valid.

They are in private mappings that are never written to. A page that is read after its release is
loaded from the file again, usually from the kernel's page cache.
"""

import ctypes
import mmap
from pathlib import Path

from torch import Tensor

_LIBC = ctypes.CDLL(None, use_errno=True)
_MAPS = Path("/proc/self/maps")
_DONT_NEED = 4  # MADV_DONTNEED of Linux


class MappedFiles:
    """The addresses at which this process has files mapped now; empty where /proc is missing.

    Use it only while the tensors in question live: their addresses may be reused afterwards.
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
        """Whether a tensor contains whole pages, and all of them are in mapped files."""
        if tensor.device.type != "cpu":
            return False  # its address is one of another device
        start, end = _pages(tensor)
        return end > start and any(low <= start and end <= high for low, high in self._ranges)

    def release(self, tensor: Tensor) -> None:
        """Release the pages of a tensor if they are a file's; anonymous memory would be zeroed."""
        if self.holds(tensor):
            release(tensor)


def release(tensor: Tensor) -> None:
    """Release the pages of a tensor for which `MappedFiles.holds` is true."""
    start, end = _pages(tensor)
    _LIBC.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONT_NEED)


def release_freed() -> None:
    """Release the private memory that was freed and that glibc keeps for the next use."""
    trim = getattr(_LIBC, "malloc_trim", None)  # other C libraries have none
    if trim is not None:
        trim(0)


def _pages(tensor: Tensor) -> tuple[int, int]:
    """The addresses at which the tensor's first whole page begins and its last one ends."""
    start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    return start, (tensor.data_ptr() + tensor.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
