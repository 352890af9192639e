"""The commands of each page, pasted into one shell in their order; Python programs as written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from launcher.addresses import example_command
from tests.docs.pages import CLIENTS, HTTP_API, README, blocks

pytestmark = pytest.mark.service


def environment(service: str) -> dict[str, str]:
    """The environment of a user with an activated .venv, for a service on another port."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "SD_ADDRESS": service, "SD_API_KEY": "", "COLUMNS": "200"}


def pasted(page: Path, service: str, folder: Path) -> str:
    """The output of all commands of a page."""
    text = "\n".join(blocks(page, "bash")).replace("localhost:5001", service)
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=environment(service),
        capture_output=True,
        text=True,
        timeout=480,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def assert_images(folder: Path, *names: str) -> None:
    for name in names:
        with Image.open(folder / name) as image:
            assert image.size == (256, 256)


def test_the_command_of_the_readme_works_as_pasted(service: str, tmp_path: Path) -> None:
    assert len(blocks(README, "bash")) == 1

    pasted(README, service, tmp_path)

    assert_images(tmp_path, "dragon.png")


def test_the_commands_of_the_http_api_work_as_pasted(service: str, tmp_path: Path) -> None:
    assert len(blocks(HTTP_API, "bash")) >= 7

    said = pasted(HTTP_API, service, tmp_path)

    assert_images(tmp_path, "dragon.png", "blue.png")
    answers = [json.loads(line) for line in re.findall(r"^\{.*\}$", said, re.MULTILINE)]
    assert any("task_id" in answer for answer in answers)
    assert any("Progress" in answer for answer in answers)
    assert re.search(r"^event: (queued|loading|step|done)$", said, re.MULTILINE)
    assert "Recent_finished_images" in answers[-1]


def test_the_commands_of_the_clients_page_work_as_pasted(service: str, tmp_path: Path) -> None:
    said = pasted(CLIENTS, service, tmp_path)

    assert_images(
        tmp_path, "out.png", "cat-0.jpg", "cat-1.jpg", "night-0.png", "night-1.png", "duck.png",
        "star.png",
    )  # fmt: skip
    assert "'sample'" in said
    assert "4 pictures of 4 jobs" in said
    assert "a blue dragon at night" in said


@pytest.mark.parametrize(
    ("number", "saved"),
    [
        (0, ["dragon-7.png", "dragon-8.png"]),
        (1, ["blue.png", "dragon.png", "duck-0.png", "duck-1.png"]),
    ],
    ids=["short", "complete"],
)
def test_the_python_of_the_clients_page_works_as_written(
    service: str, tmp_path: Path, number: int, saved: list[str]
) -> None:
    programs = blocks(CLIENTS, "python")
    assert len(programs) == 2

    ended = subprocess.run(
        [sys.executable, "-c", programs[number]],
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

    assert_images(tmp_path, "picture.png")
