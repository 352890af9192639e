"""How the C library looks after the memory of large bodies."""

import ctypes

_MIB = 2**20
# <malloc.h>: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_ARENA_MAX
_OPTIONS = {-3: 32 * _MIB, -1: 32 * _MIB, -8: 1}


def keep_memory() -> None:
    """Keep up to 32 MiB that are free at the heap's end, of one heap for all threads.

    A body with a picture of a megabyte passes through half a dozen buffers. glibc gives each back
    to the kernel and then asks it for the next, which takes longer than to read the body. Of
    another C library nothing is asked.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _OPTIONS.items():
            mallopt(option, value)
