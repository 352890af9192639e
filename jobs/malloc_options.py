"""Options of glibc's malloc that suit large blocks which are freed and requested again."""

import ctypes

_MIB = 2**20
# <malloc.h>: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_ARENA_MAX
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = -3, -1, -8


def keep_freed_memory(mib: int) -> None:
    """Keep up to `mib` MiB of freed memory, in one heap for all threads.

    By default glibc returns large blocks to the kernel and requests the next from it, which clears
    every page. Does nothing with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_MMAP_THRESHOLD, 32 * _MIB)  # the largest value that glibc accepts
    mallopt(_TRIM_THRESHOLD, mib * _MIB)
    mallopt(_ARENA_MAX, 1)
