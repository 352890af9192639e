"""Finding the processes that a test started, however many generations down."""

import os
import time
from collections.abc import Callable
from pathlib import Path

MARK = "STARTED_BY_TEST"
"""An environment variable; every descendant of a marked process carries it.

All but Valkey, which writes its title over it: it works in a folder with the mark in its name.
"""


def marked(mark: str) -> dict[int, str]:
    """The living processes with this mark: number and command line."""
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
        except OSError:  # ended meanwhile, a zombie, or somebody else's
            continue
    found.pop(os.getpid(), None)
    return found


def slowness(took: float, at_rest: float) -> float:
    """How many times longer something took than on two cores at rest; at least 1.

    A promise of seconds is held to so many times its seconds: it speaks of the code, not of what
    else the machine has to do.
    """
    return max(1.0, took / at_rest)


def eventually(happened: Callable[[], bool], seconds: float = 120) -> bool:
    """Whether it happens within a generous time; returns as soon as it does."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
