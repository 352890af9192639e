"""Runs `sd` in a process."""

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
    """Run it in a folder until it ends."""
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
    """Start it, with pipes for its output."""
    return subprocess.Popen(
        [*SD, *map(str, arguments)],
        cwd=cwd,
        env=environment(address),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell starts background processes with SIGINT ignored
        preexec_fn=_reset_sigint,  # noqa: PLW1509 - it takes no lock
    )


def _reset_sigint() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
