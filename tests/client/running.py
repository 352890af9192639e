"""`sd` as a person or a script runs it: in a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

SD = [sys.executable, "-m", "sd_client"]
CLIENT = Path(__file__).parents[2] / "client"


def environment(address: str, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(CLIENT),
        "SD_ADDRESS": address,
        "SD_API_KEY": "",
        "COLUMNS": "200",
        **more,
    }


def sd(
    address: str, *arguments: str | Path, cwd: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, in a folder."""
    return subprocess.run(
        [*SD, *map(str, arguments)],
        cwd=cwd,
        env=environment(address, **more),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def started(address: str, *arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Start it, with pipes to hear it by."""
    return subprocess.Popen(
        [*SD, *map(str, arguments)],
        cwd=cwd,
        env=environment(address),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # as on a terminal: who is started by a suite in the background would ignore Ctrl-C
        preexec_fn=_heed_ctrl_c,  # noqa: PLW1509 - it takes no lock
    )


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
