"""How many jobs a worker executes at once, and how many threads each gets."""

import os
from pathlib import Path

# A running job needs up to this much beside the model (512×512, SD 1.5, fp32).
_BYTES_PER_JOB = 2 * 1024**3
# Spins for a few microseconds; the default of GNU's OpenMP is milliseconds.
_SPIN_COUNT = "1000"
KEPT_MIB = 256
"""Freed memory that a worker keeps: the next layer of a network needs as much again."""


def available_cores() -> int:
    """The cores this process may use: its affinity, within its control group's quota."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, _quota() or cores))


def default_slots(device: str) -> int:
    """How many jobs one worker executes at once by default.

    One on a GPU, because a second would halve the speed of the first. On a CPU one per core (the
    README's "n images in parallel, n being the number of cores"), as far as memory allows: few
    threads per job waste less time in code that cannot be parallelised, and a short job need not
    wait for a long one.
    """
    if uses_gpu(device):
        return 1
    return max(1, min(available_cores(), available_memory() // _BYTES_PER_JOB))


def available_memory() -> int:
    """The bytes this process may use: the machine's, within its control group's limit."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _control_group("memory.max")
    return min(memory, int(limit)) if limit.isdigit() else memory


def threads_per_slot(slots: int) -> int:
    """Torch threads for each job, so that all slots together use all cores.

    Constant while the worker lives: another number of threads may round sums differently, and a
    request must give the same bytes whether or not a second job runs at the same time.
    """
    return max(1, available_cores() // max(1, slots))


def max_concurrent(device: str, threads: int) -> int:
    """How many batched evaluations run at once: one on a GPU, as many as fill a CPU's cores."""
    return 1 if uses_gpu(device) else max(1, available_cores() // threads)


def limit_openmp_spinning() -> None:
    """Let OpenMP threads that wait for one another sleep soon instead of spinning.

    Must be called before torch is imported, because its OpenMP reads the variable then. A spinning
    thread blocks the core for the thread it waits for when another process computes too: beside one
    busy process a step took up to three times as long. Settings of the user take precedence.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)


def uses_gpu(device: str) -> bool:
    """Whether a device setting means a GPU here, by the driver: importing torch takes seconds."""
    if device == "auto":
        return Path("/dev/nvidiactl").exists()
    return device.startswith("cuda")


def _quota() -> int | None:
    """Whole cores of the control group's CPU quota, at least one; None without a quota."""
    quota, _, period = _control_group("cpu.max").partition(" ")
    return max(1, int(quota) // int(period)) if quota.isdigit() and period.isdigit() else None


def _control_group(file: str) -> str:
    try:
        return Path("/sys/fs/cgroup", file).read_text().strip()
    except OSError:
        return ""
