"""Runs `sd`: in this process, or in one of its own."""

import io
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from sd_client.commands import main

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
    """Run it in this process, in a folder, until it ends: starting a process takes longer."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name, value in environment(address, **more).items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["sd", *map(str, arguments)])
        patch.chdir(cwd)
        with pytest.raises(SystemExit) as ended:
            main()
    said, complained = (stream.buffer.getvalue().decode() for stream in (out, err))
    return subprocess.CompletedProcess(sys.argv, int(ended.value.code or 0), said, complained)


def sd_process(
    address: str, *arguments: str | Path, cwd: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
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
