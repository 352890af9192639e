"""Finding the processes that a test started, including their descendants."""

import os
import time
from collections.abc import Callable
from pathlib import Path

MARK = "STARTED_BY_TEST"
"""An environment variable that every descendant of a marked process inherits.

Valkey overwrites its environment with its process title; the mark is in its folder's name instead.
"""


def marked(mark: str) -> dict[int, str]:
    """The running processes with this mark: process id → command line."""
    carried = f"{MARK}={mark}".encode()
    found: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        try:
            if not folder.name.isdigit():
                continue
            environment = (folder / "environ").read_bytes().split(b"\0")
            if carried in environment or mark in str((folder / "cwd").readlink()):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(folder.name)] = command
        except OSError:  # ended meanwhile, a zombie, or another user's
            continue
    found.pop(os.getpid(), None)
    return found


def slowness(took: float, idle: float) -> float:
    """How many times longer something took than on two idle cores; at least 1.

    Tests multiply their time limits by it, so that they measure the code, not the machine's load.
    """
    return max(1.0, took / idle)


def eventually(happened: Callable[[], bool], seconds: float = 120) -> bool:
    """Poll until `happened()` or a timeout; returns whether it happened."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
