"""Compose on this machine: Docker's own, or the one that comes with the tools for tests."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

BUILDS = ("cpu", "gpu", "gpu-optimized")


@cache
def compose_command() -> tuple[str, ...] | None:
    """How to call Compose 2 or newer; None where there is none."""
    beside_python = shutil.which("docker-compose", path=str(Path(sys.executable).parent))
    for command in (("docker", "compose"), ("docker-compose",), (beside_python or "",)):
        if shutil.which(command[0]) and _major_version(command) >= 2:
            return command
    return None


def docker(*arguments: str, folder: Path | None = None, **environment: str) -> str:
    """What a docker command prints. Raises AssertionError with its last lines."""
    return run(["docker", *arguments], folder, environment)


def log(container: str) -> str:
    """All that a container has written."""
    return run(["sh", "-c", f"docker logs {container} 2>&1"], None, {})


def run(command: list[str], folder: Path | None, environment: Mapping[str, str]) -> str:
    """Run a command to its end and return its output."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        last = (ended.stdout + ended.stderr).strip().splitlines()[-25:]
        raise AssertionError(
            f"{' '.join(command)} ended with {ended.returncode}:\n" + "\n".join(last)
        )
    return ended.stdout


def _major_version(command: tuple[str, ...]) -> int:
    ended = subprocess.run(
        [*command, "version", "--short"], capture_output=True, text=True, check=False
    )
    major = ended.stdout.strip().removeprefix("v").split(".")[0]
    return int(major) if ended.returncode == 0 and major.isdigit() else 0
