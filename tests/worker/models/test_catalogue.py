from pathlib import Path

import pytest

from stable_diffusion import tiny
from worker.errors import UnknownModel
from worker.models.catalogue import Catalogue


def test_files_are_models_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "v1-5-pruned-emaonly.safetensors").touch()
    (tmp_path / "dreamy.ckpt").touch()
    (tmp_path / "dreamy.safetensors").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".half-written.safetensors").touch()
    (tmp_path / "folder.ckpt").mkdir()
    installed = Catalogue(tmp_path, "tiny").installed()
    assert set(installed) - {"tiny", "tiny-v2"} == {"sd15", "dreamy"}
    assert installed["dreamy"].suffix == ".safetensors"


def test_a_file_dropped_in_while_the_worker_runs_is_found(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path / "models", "tiny")
    with pytest.raises(UnknownModel):
        catalogue.find("sd14")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sd1.4.ckpt").touch()
    assert catalogue.find("sd1.4") == ("sd14", tmp_path / "models" / "sd1.4.ckpt")


def test_default_is_the_configured_model(tmp_path: Path) -> None:
    (tmp_path / "sd14.ckpt").touch()
    assert Catalogue(tmp_path, "sd1.4").find("default")[0] == "sd14"


def test_the_shipped_model_needs_no_models_folder(tmp_path: Path) -> None:
    if not tiny.PATH.is_file():
        pytest.skip("the tiny model has not been trained yet")
    assert Catalogue(tmp_path / "nowhere", "tiny").find("tiny") == ("tiny", tiny.PATH)


def test_a_users_file_takes_precedence_over_the_shipped_model(tmp_path: Path) -> None:
    (tmp_path / "tiny.safetensors").touch()
    assert Catalogue(tmp_path, "tiny").find("tiny")[1] == tmp_path / "tiny.safetensors"
