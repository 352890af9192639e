"""The Dockerfiles, and the scripts they install."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.generate import ROOT

DOCKERFILES = ("Dockerfile.api", "Dockerfile.worker")
PASSWORD = ROOT / "deploy" / "images" / "redis-password"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_reports_nothing(name: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    ended = subprocess.run([hadolint, ROOT / name], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_installs_from_locks_and_runs_without_root(name: str) -> None:
    text = (ROOT / name).read_text()

    assert re.search(r"^USER 10001:10001$", text, re.M)
    assert re.search(r"^HEALTHCHECK ", text, re.M)
    assert re.search(r'^ENTRYPOINT \["tini", "--"\]$', text, re.M)
    assert text.count("FROM ") == 3
    assert "git clone" not in text and "gcc" not in text and "wget" not in text
    installs = re.findall(r"pip .*? install ((?:.*\\\n)*.*)", text)
    assert installs and all("--only-binary :all:" in install for install in installs)


@pytest.mark.parametrize("name", DOCKERFILES)
def test_code_is_copied_last(name: str) -> None:
    """A change of code must not install the packages again."""
    text = (ROOT / name).read_text()

    assert text.index("COPY --from=packages") < text.index("COPY jobs jobs")
    assert "requirements" not in text[text.index("COPY --from=packages") :]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_dockerignore_admits_all_copied_files(name: str) -> None:
    admitted = {
        line.removeprefix("!").strip()
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }

    for source in _copied(name):
        assert (ROOT / source).exists(), source
        assert any(source == kept or source.startswith(f"{kept}/") for kept in admitted), source


def test_the_api_image_has_all_imported_modules_and_no_more_of_the_engine() -> None:
    program = (
        "import json, sys, api, api.dialects.native, api.gunicorn, api.flower;"
        "print(json.dumps([m.__file__ for m in sys.modules.values() if getattr(m, '__file__', 0)]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    ours = {
        str(Path(file).relative_to(ROOT))
        for file in json.loads(printed)
        if Path(file).is_relative_to(ROOT) and ".venv" not in Path(file).parts
    }
    copied = _copied("Dockerfile.api")
    missing = {
        file
        for file in ours
        if not any(file == source or file.startswith(f"{source}/") for source in copied)
    }
    assert missing == set()
    engine = {source for source in copied if source.startswith("stable_diffusion")}
    assert engine == {file for file in ours if file.startswith("stable_diffusion")}


def test_the_password_is_made_once_and_reused(tmp_path: Path) -> None:
    _make_password(tmp_path)
    first = (tmp_path / "redis_password").read_text().strip()
    _make_password(tmp_path)

    assert (tmp_path / "redis_password").read_text().strip() == first
    assert re.fullmatch(r"[0-9a-f]{48}", first)
    assert (tmp_path / "redis.conf").read_text() == f"requirepass {first}\n"
    address = (tmp_path / "celery_broker_url").read_text().strip()
    assert address == f"redis://:{first}@redis:6379/0"


def test_two_installations_have_two_passwords(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        _make_password(tmp_path / name)

    made = {(tmp_path / name / "redis_password").read_text() for name in ("one", "two")}
    assert len(made) == 2


def test_redis_password_replaces_the_random_password(tmp_path: Path) -> None:
    _make_password(tmp_path)
    _make_password(tmp_path, "of-my-own_1")

    assert (tmp_path / "redis.conf").read_text() == "requirepass of-my-own_1\n"


def test_a_password_with_url_characters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        _make_password(tmp_path, "p@ss/word")

    assert "REDIS_PASSWORD may hold" in refused.value.stderr
    assert list(tmp_path.iterdir()) == []


def _make_password(folder: Path, password: str = "") -> None:
    subprocess.run(
        ["sh", PASSWORD, folder],
        env={"PATH": "/usr/bin:/bin", "REDIS_PASSWORD": password},
        capture_output=True,
        text=True,
        check=True,
    )


def _copied(name: str) -> set[str]:
    """The sources of every COPY from the builder's folder; a build argument by its default."""
    text = (ROOT / name).read_text().replace("\\\n", " ").replace("${LOCK}", "api.lock")
    copies = re.findall(r"^COPY (?!--from)(.*)$", text, re.M)
    return {source for copy in copies for source in copy.split()[:-1]}
