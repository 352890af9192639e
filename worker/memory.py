"""What this process has taken of the machine's memory and of its GPU's."""

import os
import sys
from contextlib import suppress
from pathlib import Path

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
    torch = sys.modules.get("torch")  # asking must not cost the seconds of importing it
    if torch is None or not device.startswith("cuda") or not torch.cuda.is_initialized():
        return None
    return int(torch.cuda.memory_reserved(device))
