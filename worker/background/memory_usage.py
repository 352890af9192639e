"""What this process has taken of the machine's memory and of its GPU's."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_STATM = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """The process's resident memory; None where the system does not tell it."""
    with suppress(OSError):
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def gpu_bytes(device: str) -> int | None:
    """What torch holds of a GPU's memory; None on a CPU, and before torch was imported.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
    """
    # asking must not cost the seconds of importing it, and meets it while another thread does
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    if not device.startswith("cuda") or not hasattr(cuda, "memory_reserved"):
        return None
    return int(cuda.memory_reserved(device)) if cuda.is_initialized() else None
