"""`make sbom`: a bill of materials of each image."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from docs.generate import ROOT

FILES = {
    "api": {"api.lock"},
    "flower": {"flower.lock"},
    "worker": {"worker.lock", "no-deps.lock", "torch.txt"},
}
"""Image -> what its Dockerfile installs from requirements/."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes."""
    folder = tmp_path_factory.mktemp("sbom")
    command = [sys.executable, str(ROOT / "requirements" / "sbom.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("image", FILES)
def test_it_names_the_base_and_every_pinned_package(folder: Path, image: str) -> None:
    text = (folder / f"{image}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]

    [base] = [each for each in components if each["type"] == "container"]
    named = rf"^ARG PYTHON_IMAGE={base['name']}:.*@{base['version']}$"
    assert re.search(named, _dockerfile(image), re.MULTILINE)
    packages = {
        f"{each['name']}=={each['version']}" for each in components if each["type"] == "library"
    }
    locked = (ROOT / "requirements" / name for name in FILES[image])
    assert packages == {
        pin for path in locked for pin in re.findall(r"^\w[\w-]*==[\w.]+", path.read_text(), re.M)
    }


@pytest.mark.parametrize("image", FILES)
def test_the_files_are_those_that_the_image_is_built_from(image: str) -> None:
    recipe = _dockerfile(image).replace("${LOCK}", f"{image}.lock")

    assert set(re.findall(r"--requirement \"?/requirements/([\w.-]+)", recipe)) == FILES[image]


def _dockerfile(image: str) -> str:
    name = "worker" if image == "worker" else "api"
    return (ROOT / f"Dockerfile.{name}").read_text()
