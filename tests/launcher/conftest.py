"""Fixtures that start launchers, and check that they leave no process running."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.launching import Launcher
from tests.processes import MARK, eventually, marked


@pytest.fixture
def mark() -> Iterator[str]:
    """A value of the environment variable MARK; fails if a process with it survives the test."""
    mark = uuid.uuid4().hex
    yield mark
    gone = eventually(lambda: not marked(mark))
    left = marked(mark)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert gone, f"still running: {left}"


def valkey_url(mark: str) -> str:
    """The URL of the service's private Valkey, from the environment of one of its processes."""
    for pid in marked(mark):
        with suppress(OSError):  # it has ended meanwhile
            environment = Path(f"/proc/{pid}/environ").read_text(errors="replace")
            for entry in environment.split("\0"):
                if entry.startswith("CELERY_RESULT_BACKEND=redis"):
                    return entry.partition("=")[2]
    raise AssertionError("no process has its URL")


Launch = Callable[..., Launcher]


@pytest.fixture
def launch(tmp_path: Path, mark: str) -> Iterator[Launch]:
    """Starts a launcher with a new data folder: `launch("up", PORT="5001")`."""
    started: list[Launcher] = []

    def start(*arguments: str, **environment: str) -> Launcher:
        for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "API_KEYS", "DEFAULT_MODEL"):
            environment.setdefault(name, "")
        environment = {"DATA_DIR": str(tmp_path / mark), MARK: mark, **environment}
        launcher = Launcher(list(arguments), environment, tmp_path / f"{len(started)}.log")
        started.append(launcher)
        return launcher

    yield start
    for launcher in started:
        if launcher.process.poll() is None:
            launcher.process.send_signal(signal.SIGTERM)
            launcher.wait()
