"""Run a command that Linux kills when the launcher dies, even by kill -9.

    python parent_death_signal.py LAUNCHER_PID CORES COMMAND [ARGUMENT...]

prctl(PR_SET_PDEATHSIG) asks the kernel to send this process a signal when its parent dies. Only
the child can ask for it; this program does so and then becomes the command with exec, so that no
Python code runs between fork and exec in the launcher. Without prctl (not Linux) the command
survives a kill -9 of the launcher.

CORES, such as `0,2`, are the cores that the command may run on; empty: all.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Request the signal, set the cores, and become the command."""
    launcher, cores, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:  # it died before the request
        sys.exit("the launcher has died")
    if cores:
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    os.execvp(command[0], command)  # noqa: S606  no shell wanted


if __name__ == "__main__":
    main()
