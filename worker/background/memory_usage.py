"""How much host and GPU memory this process uses."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """The process's resident memory; None where the system does not report it."""
    with suppress(OSError):
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def gpu_bytes(device: str) -> int | None:
    """The GPU memory that torch has reserved; None on a CPU, and before torch is imported.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
    """
    # never import torch here, which takes seconds; another thread may be importing it right now
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    if not device.startswith("cuda") or not hasattr(cuda, "memory_reserved"):
        return None
    return int(cuda.memory_reserved(device)) if cuda.is_initialized() else None
