"""The commands for models, against a hub on the loopback interface."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stable_diffusion.tiny import PATH
from stable_diffusion.weights.fingerprint import Fingerprints
from tests.worker.commands.hub import Hub, running
from worker.commands import pulling
from worker.commands.sources import Source, read_sources, source_of
from worker.errors import BadSource, PullFailed

REPOSITORY = "someone/sd"
FILE = "v1-5-pruned-emaonly.safetensors"
SOURCE = Source(repositories=("gone/sd", REPOSITORY), file=FILE)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub({f"{REPOSITORY}/{FILE}": PATH.read_bytes()})) as hub:
        yield hub


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def pull(hub: Hub, models: Path, source: Source = SOURCE) -> Path:
    offer = pulling.find(source, hub.url)
    kept = Fingerprints(models.parent / "fingerprints.json")
    return pulling.pull("sd15", offer, models, kept, prediction=source.prediction, endpoint=hub.url)


def test_a_model_comes_whole_under_its_name_with_a_note(hub: Hub, models: Path) -> None:
    path = pull(hub, models)
    assert path == models / "sd15.safetensors"
    assert path.read_bytes() == PATH.read_bytes()
    offer = pulling.recorded(path)
    assert offer
    assert (offer.repository, offer.sha256) == (REPOSITORY, hub.checksum(f"{REPOSITORY}/{FILE}"))
    assert Fingerprints(models.parent / "fingerprints.json").known(path) == offer.sha256
    assert sorted(file.name for file in models.iterdir()) == [
        "sd15.safetensors",
        "sd15.safetensors.source.json",
    ]


def test_a_pull_that_was_broken_off_goes_on_where_it_was(hub: Hub, models: Path) -> None:
    hub.breaks_after = 1_000_000
    with pytest.raises(PullFailed, match="the hub answered 503"):
        pull(hub, models)
    assert not list(models.glob("*.safetensors"))
    hub.refuses = False
    assert pull(hub, models).read_bytes() == PATH.read_bytes()
    assert hub.ranges[-1] == "bytes=1000000-"


def test_what_is_not_what_the_hub_says_is_deleted(hub: Hub, models: Path) -> None:
    hub.says = "0" * 64
    with pytest.raises(PullFailed, match="not what someone/sd says"):
        pull(hub, models)
    assert not list(models.rglob("*.safetensors"))


def test_sizes_are_compared_with_the_disk_first(
    hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "SPARE_BYTES", 10**18)
    with pytest.raises(PullFailed, match=r"needs 10+\.\d GB of disk"):
        pull(hub, models)
    assert hub.ranges == []


def test_a_file_that_is_nowhere_is_said_to_have_moved(hub: Hub, models: Path) -> None:
    with pytest.raises(PullFailed, match=r"none of gone/sd, moved/sd: .*sources\.toml"):
        pull(hub, models, Source(repositories=("gone/sd", "moved/sd"), file=FILE))


def test_a_hub_that_cannot_be_reached_is_said_so(models: Path) -> None:
    with running(Hub({})) as hub:
        gone = hub.url
    with pytest.raises(PullFailed, match="cannot be reached"):
        pulling.find(SOURCE, gone)


def test_a_model_nobody_would_know_to_predict_v_gets_a_note(hub: Hub, models: Path) -> None:
    path = pull(hub, models, SOURCE.model_copy(update={"prediction": "v"}))
    assert "parameterization: v" in path.with_suffix(".yaml").read_text()


def test_the_table_knows_the_documented_models_and_can_be_added_to(tmp_path: Path) -> None:
    assert {"sd14", "sd15", "sd21", "sd21v"} <= set(read_sources(tmp_path))
    assert source_of("sd2.1v", tmp_path)[0] == "sd21v"
    with pytest.raises(BadSource, match=r"'mine'; known are sd14, .*sources\.toml"):
        source_of("mine", tmp_path)
    own = tmp_path / "sources.toml"
    own.write_text('[mine]\nrepositories = ["me/mine"]\nfile = "mine.safetensors"\n')
    assert source_of("mine", tmp_path)[1].repositories == ("me/mine",)
    own.write_text('[mine]\nrepositories = ["me/mine"]\nfile = "mine.exe"\n')
    with pytest.raises(BadSource, match=r"sources\.toml cannot be read"):
        read_sources(tmp_path)


def command(tmp_path: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "DATA_DIR": str(tmp_path),
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        "COLUMNS": "200",
        "HF_HUB_OFFLINE": "0",
        **settings,
    }
    return subprocess.run(
        [sys.executable, "-m", "worker", "models", *arguments],
        cwd=Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.service
def test_a_person_pulls_lists_and_checks(hub: Hub, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    table = f'[sd15]\nrepositories = ["{REPOSITORY}"]\nfile = "{FILE}"\n'
    (models / "sources.toml").write_text(table)
    pulled = command(tmp_path, "pull", "sd1.5", HF_ENDPOINT=hub.url)
    assert pulled.returncode == 0, pulled.stderr
    assert "sd15 is installed" in pulled.stdout.replace("\n", "")
    (models / "page.ckpt").write_text("<!doctype html>")
    listed = command(tmp_path, "list")
    assert listed.returncode == 0, listed.stderr
    checksum = json.loads((models / "sd15.safetensors.source.json").read_text())["sha256"]
    (row,) = [line for line in listed.stdout.splitlines() if "sd15" in line]
    assert "tiny" in row
    assert checksum[:10] in row
    assert "page.ckpt" in listed.stdout
    assert "Redis does not answer" in listed.stderr
    checked = command(tmp_path, "check", "sd15")
    assert checked.returncode == 0, checked.stderr
    assert checksum in checked.stdout
    assert REPOSITORY in checked.stdout
    refused = command(tmp_path, "check", str(models / "page.ckpt"))
    assert refused.returncode == 1
    assert "error: model file 'page.ckpt'" in refused.stderr
    unknown = command(tmp_path, "pull", "sd99")
    assert unknown.returncode == 1
    assert "no source is known for the model 'sd99'" in unknown.stderr
