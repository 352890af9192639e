"""Launchers started by tests, and proof that they leave nothing behind."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.launching import Launcher
from tests.processes import MARK, eventually, marked


@pytest.fixture
def mark() -> Iterator[str]:
    """A mark of its own for every test; nothing that carries it outlives the test."""
    mark = uuid.uuid4().hex
    yield mark
    gone = eventually(lambda: not marked(mark))
    left = marked(mark)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert gone, f"left behind: {left}"


Launch = Callable[..., Launcher]


@pytest.fixture
def launch(tmp_path: Path, mark: str) -> Iterator[Launch]:
    """Start the launcher with a data folder of its own: `launch("up", PORT="5001")`."""
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
