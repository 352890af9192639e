"""The client as a package: the content of its wheel, and that it needs no other part."""

import subprocess
import sys
import tomllib
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tests.client.running import CLIENT

SOURCES = CLIENT / "sd_client"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "wheel", "-qq", "--disable-pip-version-check", "--no-deps"]
    offline = ["--no-build-isolation", "--no-index"]
    subprocess.run([*pip, *offline, "-w", str(tmp_path), str(CLIENT)], check=True)
    (built,) = tmp_path.glob("*.whl")
    return built


def test_the_wheel_holds_the_client_its_types_and_its_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = (name for name in names if name.endswith("entry_points.txt"))
        commands = archive.read(entry_points).decode()
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        needs = message_from_bytes(archive.read(metadata)).get_all("Requires-Dist")

    modules = {f"sd_client/{path.relative_to(SOURCES)}" for path in SOURCES.rglob("*.py")}
    assert modules | {"sd_client/py.typed"} == {name for name in names if "dist-info" not in name}
    assert "sd=sd_client.commands:main" in commands.replace(" ", "")
    always = [need for need in needs or [] if "extra ==" not in need]
    assert {need.partition(">")[0] for need in always} == {"httpx", "rich", "typer"}


def test_the_command_of_the_environment_is_the_client() -> None:
    """`make env` installs the client in editable mode."""
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]

    result = subprocess.run(
        [Path(sys.executable).with_name("sd"), "--help"], capture_output=True, text=True, check=True
    )

    assert list(project["scripts"]) == ["sd"]
    assert "generate" in result.stdout


@pytest.mark.slow
def test_it_runs_on_a_machine_without_the_service(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-qq", str(CLIENT)], check=True)

    imported = subprocess.run(
        [python, "-c", "import sd_client; print(sd_client.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    unreachable = subprocess.run(
        [python.with_name("sd"), "models", "--address", "127.0.0.1:1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert str(tmp_path) in imported.stdout
    assert unreachable.returncode == 5
