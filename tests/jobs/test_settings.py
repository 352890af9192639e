from pathlib import Path

import pytest

from jobs.settings import JobSettings


def test_folders_follow_the_data_folder(tmp_path: Path) -> None:
    settings = JobSettings(data_dir=tmp_path)
    assert settings.models_dir == tmp_path / "models"
    assert settings.outputs == str(tmp_path / "outputs")


def test_the_environment_sets_them_and_an_empty_variable_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "there"))
    monkeypatch.setenv("OUTPUTS", "s3://bucket/pictures")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://broker/1")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "")
    monkeypatch.setenv("MAX_SIDE", "768")
    settings = JobSettings()
    assert settings.models_dir == tmp_path / "there" / "models"
    assert settings.outputs == "s3://bucket/pictures"
    assert settings.celery_result_backend == "redis://broker/1"
    assert settings.limits.max_side == 768
