"""Run a command on a leash: when the launcher is gone, kill -9 included, so is the command.

    python leash.py LAUNCHER_PID COMMAND [ARGUMENT...]

Linux sends a process the signal it asked for (prctl PR_SET_PDEATHSIG) when its parent dies. The
request has to be made in the child; doing it here, in a program that then becomes the command,
keeps Python code out of the delicate moment between fork and exec. A kernel without prctl runs
the command unleashed: there only a kill -9 of the launcher leaves it behind.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Put the leash on and become the command."""
    launcher, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:  # it died before the leash was on
        sys.exit("the launcher is gone")
    os.execvp(command[0], command)  # noqa: S606  no shell wanted


if __name__ == "__main__":
    main()
