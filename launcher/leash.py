"""Run a command on a leash: when the launcher is gone, kill -9 included, so is the command.

    python leash.py LAUNCHER_PID CORES COMMAND [ARGUMENT...]

Linux sends a process the signal it asked for (prctl PR_SET_PDEATHSIG) when its parent dies. The
request has to be made in the child; doing it here, in a program that then becomes the command,
keeps Python code out of the delicate moment between fork and exec. A kernel without prctl runs
the command unleashed: there only a kill -9 of the launcher leaves it behind.

CORES, such as `0,2`, are those the command may run on; empty: all.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Put the leash on and become the command."""
    launcher, cores, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:  # it died before the leash was on
        sys.exit("the launcher is gone")
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    os.execvp(command[0], command)  # noqa: S606  no shell wanted


if __name__ == "__main__":
    main()
