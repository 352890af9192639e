"""How many jobs at once, and how many threads for each."""

import os
from pathlib import Path

# A picture in the making holds up to this much beside the model (512×512, SD 1.5, fp32).
_BYTES_A_JOB = 2 * 1024**3
# A few microseconds; by itself GNU's OpenMP looks for milliseconds.
_LOOKS = "1000"


def available_cores() -> int:
    """The cores this process may use: its affinity, within its control group's quota."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(cores, _quota() or cores))


def default_slots(device: str) -> int:
    """How many jobs one worker runs at once unless it is told.

    On a GPU one: a second would only halve the first one's share. On a CPU one for each core (the
    README's "n images in parallel, n being the number of cores"), as far as memory reaches. Few
    threads a picture waste less than many: what cannot be split across cores runs beside another
    job's, and a short job need not wait for a long one.
    """
    if uses_gpu(device):
        return 1
    return max(1, min(available_cores(), available_memory() // _BYTES_A_JOB))


def available_memory() -> int:
    """The bytes this process may use: the machine's, within its control group's limit."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _control_group("memory.max")
    return min(memory, int(limit)) if limit.isdigit() else memory


def threads_a_slot(slots: int) -> int:
    """Threads of torch for each job, so that all slots together fill the cores.

    Fixed while the worker lives: another number of threads may round sums differently, and the
    same request must give the same bytes whether or not a second job runs beside it.
    """
    return max(1, available_cores() // max(1, slots))


def max_concurrent(device: str, threads: int) -> int:
    """How many evaluations that jobs share run at once: one on a GPU, on a CPU what fills it."""
    return 1 if uses_gpu(device) else max(1, available_cores() // threads)


def sleep_soon() -> None:
    """Let the threads of one job sleep soon when they wait for one another.

    Must be called before torch is imported, whose OpenMP reads it then. One that looks whether the
    other is done keeps the core from it where somebody else computes too: beside one busy process a
    step took up to three times as long. Whoever has set how threads wait knows better.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _LOOKS)


def uses_gpu(device: str) -> bool:
    """Whether a device setting means a GPU here. Asks for the driver: torch takes seconds."""
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
