"""The commands of the README, pasted into one shell, in their order."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from docs.generate import README, ROOT
from launcher.up import example_command

pytestmark = pytest.mark.service


def test_the_curl_commands_of_the_readme_work_as_pasted(service: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    pasted = "\n".join(block.replace("localhost:5001", service) for block in blocks)

    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", pasted],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    for name in ("dragon.png", "blue.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (256, 256)
    answers = [json.loads(line) for line in re.findall(r"^\{.*\}$", ended.stdout, re.MULTILINE)]
    assert any("task_id" in answer for answer in answers)
    assert any("Progress" in answer for answer in answers)
    assert "Recent_finished_images" in answers[-1]


def test_the_command_that_make_up_prints_works_as_pasted(service: str, tmp_path: Path) -> None:
    subprocess.run(["bash", "-c", example_command(service)], cwd=tmp_path, check=True, timeout=240)

    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.size == (256, 256)
