"""The commands of the README and of docs/clients.md, pasted into one shell, in their order."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from docs.generate import README, ROOT
from launcher.up import example_command

pytestmark = pytest.mark.service

CLIENTS = ROOT / "docs" / "clients.md"


def blocks(page: Path, language: str) -> list[str]:
    """The examples of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def environment(service: str) -> dict[str, str]:
    """That of a user who has activated the environment, with a service on another port."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SD_ADDRESS": service, "SD_API_KEY": "", "COLUMNS": "200"}


def pasted(text: str, service: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text.replace("localhost:5001", service)],
        cwd=folder,
        env=environment(service),
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )


def test_the_commands_of_the_readme_work_as_pasted(service: str, tmp_path: Path) -> None:
    found = blocks(README, "bash")
    assert len(found) >= 6
    shutil.copytree(ROOT / "templates", tmp_path / "templates")

    ended = pasted("\n".join(found), service, tmp_path)

    assert ended.returncode == 0, ended.stderr
    for name in ("dragon.png", "blue.png", "red.png", "night-0.png", "night-1.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (256, 256)
    answers = [json.loads(line) for line in re.findall(r"^\{.*\}$", ended.stdout, re.MULTILINE)]
    assert any("task_id" in answer for answer in answers)
    assert any("Progress" in answer for answer in answers)
    assert "Recent_finished_images" in answers[-1]
    assert "a blue dragon at night" in ended.stdout


def test_the_commands_of_the_clients_page_work_as_pasted(service: str, tmp_path: Path) -> None:
    ended = pasted("\n".join(blocks(CLIENTS, "bash")), service, tmp_path)

    assert ended.returncode == 0, ended.stderr
    for name in ("out.png", "cat-0.jpg", "cat-1.jpg", "blue.png", "duck.png", "star.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (256, 256)
    assert "'sample'" in ended.stdout
    assert "4 pictures of 4 jobs" in ended.stdout


@pytest.mark.parametrize(
    ("page", "saved"),
    [
        (README, ["dragon-7.png", "dragon-8.png"]),
        (CLIENTS, ["blue.png", "dragon.png", "duck-0.png", "duck-1.png"]),
    ],
    ids=["README", "clients.md"],
)
def test_the_python_of_a_page_works_as_written(
    service: str, tmp_path: Path, page: Path, saved: list[str]
) -> None:
    (program,) = blocks(page, "python")

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(service),
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == saved


def test_the_command_that_make_up_prints_works_as_pasted(service: str, tmp_path: Path) -> None:
    subprocess.run(["bash", "-c", example_command(service)], cwd=tmp_path, check=True, timeout=240)

    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (256, 256)
