"""The memory of a body is kept for the next one."""

import platform
import subprocess
import sys

import pytest

BODIES = """
import resource, threading
from jobs.malloc_options import keep_freed_memory
if {kept}:
    keep_freed_memory(mib=32)

def body():
    return [b"x" * 1_400_000 for _ in range(6)]  # as many buffers as one passes through

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def serve():
    for _ in range(5):
        body()
    before = faults()
    for _ in range(20):
        body()
    print(faults() - before)

thread = threading.Thread(target=serve)
thread.start()
thread.join()
"""


def pages_asked_for(*, kept: bool) -> int:
    """How many pages of memory twenty bodies ask the kernel for."""
    script = BODIES.format(kept=kept)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_the_memory_of_a_body_is_not_asked_of_the_kernel_again() -> None:
    anew = pages_asked_for(kept=False)
    assert anew > 20 * 6 * 100  # it is worth it
    assert pages_asked_for(kept=True) < anew / 20
