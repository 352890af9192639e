"""`make demo`: one picture, and no process left."""

import os
import re
import signal
from pathlib import Path

import pytest
from PIL import Image

from tests.launcher.conftest import Launch
from tests.processes import eventually, marked

pytestmark = pytest.mark.service


def test_the_demo_saves_the_picture_of_the_readme_and_leaves_nothing_behind(
    launch: Launch, tmp_path: Path, mark: str
) -> None:
    picture = tmp_path / "demo.png"

    demo = launch("demo", "--output", str(picture))

    assert demo.wait(560) == 0, demo.said
    with Image.open(picture) as image:
        assert image.size == (512, 512)
        assert image.info["parameters"].startswith("a photo of a red scaley ((dragon))")
    assert f"Saved {picture}" in demo.said.replace("\n", "")
    assert re.search(r"20 steps \d+\.\d s, 4 steps \d+\.\d s", demo.said)
    assert not marked(mark)


def test_an_interrupted_demo_leaves_nothing_behind(
    launch: Launch, tmp_path: Path, mark: str
) -> None:
    demo = launch("demo", "--output", str(tmp_path / "demo.png"))
    assert eventually(lambda: any("-m worker" in command for command in marked(mark).values()))

    demo.process.send_signal(signal.SIGINT)

    assert demo.wait() == 130
    assert not marked(mark)
    assert not (tmp_path / "demo.png").exists()


def test_a_demo_reports_the_death_of_its_worker(launch: Launch, tmp_path: Path, mark: str) -> None:
    demo = launch("demo", "--output", str(tmp_path / "demo.png"))
    workers: list[int] = []

    def found() -> bool:
        workers[:] = [pid for pid, command in marked(mark).items() if "-m worker" in command]
        return bool(workers)

    assert eventually(found)
    os.kill(workers[0], signal.SIGKILL)

    assert demo.wait() == 1
    assert "error: worker-1 was killed by SIGKILL" in demo.said
    assert not marked(mark)
