"""Which files a build may install: locks with hashes, one index, images by digest."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from docs.generate import ROOT

REQUIREMENTS = ROOT / "requirements"
LOCKS = sorted(REQUIREMENTS.glob("*.lock"))
INSTALLERS = ("Makefile", "Dockerfile.api", "Dockerfile.worker")
ENTRY = re.compile(r"([a-z0-9-]+==\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
IMAGE = re.compile(r"[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
MADE_HERE = re.compile(r"(registry\.example/|\$\{REGISTRY[^}]*\}/)?stable-diffusion-\w+(:\w+)?")


def entries(lock: Path) -> dict[str, str]:
    """`name==version` -> its hashes. Nothing but entries may stand below the header."""
    _, body = lock.read_text().split("\n", 1)
    assert ENTRY.sub("", body) == "", lock.name
    return dict(ENTRY.findall(body))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_package_of_a_lock_has_hashes(lock: Path) -> None:
    found = entries(lock)

    assert found
    if lock.name != "no-deps.lock":
        assert found.items() <= entries(REQUIREMENTS / "dev.lock").items()


def test_only_torch_is_pinned_without_a_hash() -> None:
    [pin] = (REQUIREMENTS / "torch.txt").read_text().splitlines()

    assert re.fullmatch(r"torch==[\d.]+", pin)


@pytest.mark.parametrize("name", INSTALLERS)
def test_everything_but_torch_is_installed_by_hash(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    installs = re.findall(r"^.*(?:\$\(PIP\)|pip .* install) .*$", text, re.MULTILINE)

    assert installs
    for install in installs:
        if "torch.txt" in install:
            assert ".lock" not in install
        elif "./client" not in install:
            assert "--require-hashes" in install and "--no-deps" in install, install


@pytest.mark.parametrize("name", INSTALLERS)
def test_no_package_is_looked_up_in_two_indexes(name: str) -> None:
    """pip takes the highest version of any index, so an extra index can deliver any package."""
    text = (ROOT / name).read_text()

    assert "extra-index-url" not in text
    for install in re.findall(r".*\$\{?\(?TORCH_INDEX_URL.*", text):
        assert "--index-url" in install


def test_pip_refuses_another_file_of_the_same_name_and_version(tmp_path: Path) -> None:
    for pin in entries(REQUIREMENTS / "no-deps.lock"):
        _forge(tmp_path, *pin.split("=="))

    pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install"]
    pip += ["--no-index", "--find-links", str(tmp_path), "--target", str(tmp_path / "installed")]
    ended = subprocess.run(
        [*pip, "--no-deps", "-r", str(REQUIREMENTS / "no-deps.lock")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode != 0
    assert "DO NOT MATCH THE HASHES" in ended.stderr


def test_requirements_name_no_index() -> None:
    for path in (*REQUIREMENTS.glob("*.in"), REQUIREMENTS / "torch.txt"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert not [line for line in lines if "://" in line or line.startswith("--")], path.name


def test_every_image_has_a_tag_and_a_digest() -> None:
    files = [*ROOT.glob("docker-compose*.yml"), *ROOT.glob("deploy/*/*.yml")]
    named = [
        image
        for path in files
        for image in re.findall(r"^ *(?:image|PYTHON_IMAGE): +(\S.*)$", path.read_text(), re.M)
    ]
    for name in ("Dockerfile.api", "Dockerfile.worker"):
        named += re.findall(r"^ARG PYTHON_IMAGE=(.+)$", (ROOT / name).read_text(), re.M)

    assert len(named) > 8
    kustomization = yaml.safe_load((ROOT / "deploy/kubernetes/kustomization.yml").read_text())
    by_digest = {each["name"] for each in kustomization["images"] if "digest" in each}
    for image in set(named) - by_digest:
        if not MADE_HERE.fullmatch(image):
            default = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", image)
            assert IMAGE.fullmatch(default), image


def _forge(folder: Path, name: str, version: str) -> None:
    """A wheel of this name and version with nothing in it."""
    stem = f"{name.replace('-', '_')}-{version}"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", metadata)
        wheel.writestr(f"{stem}.dist-info/WHEEL", tags)
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
