"""Options of glibc's malloc that suit large request bodies."""

import ctypes

_MIB = 2**20
# <malloc.h>: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_ARENA_MAX
_OPTIONS = {-3: 32 * _MIB, -1: 32 * _MIB, -8: 1}


def keep_freed_memory() -> None:
    """Keep up to 32 MiB of freed memory, in one heap for all threads.

    A body with a picture of 1 MB passes through half a dozen buffers. By default glibc returns
    each to the kernel and requests the next from it, which takes longer than reading the body.
    Does nothing with another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in _OPTIONS.items():
            mallopt(option, value)
