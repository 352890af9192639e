"""Where settings come from: the environment, and secrets as files."""

from pathlib import Path

import pytest

from api.settings import ApiSettings
from jobs.environment import read_settings
from jobs.settings import JobSettings

SECRET = "redis://:canary-password@redis:6379/0"


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of secrets, and no setting from elsewhere."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRETS_DIR", str(folder))
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "API_KEYS"):
        monkeypatch.delenv(name, raising=False)
    return folder


def test_a_secret_is_a_file_of_the_setting_s_name(secrets: Path) -> None:
    (secrets / "celery_broker_url").write_text(f"{SECRET}\n")

    settings = read_settings(JobSettings)

    assert settings.celery_broker_url == settings.celery_result_backend == SECRET


def test_keys_may_be_a_secret(secrets: Path) -> None:
    (secrets / "api_keys").write_text("one, two\n")

    assert read_settings(ApiSettings).keys == ("one", "two")


def test_the_environment_goes_before_a_secret_unless_it_is_empty(
    secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (secrets / "celery_broker_url").write_text(SECRET)

    monkeypatch.setenv("CELERY_BROKER_URL", "")
    assert read_settings(JobSettings).celery_broker_url == SECRET
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere:1/0")
    assert read_settings(JobSettings).celery_broker_url == "redis://elsewhere:1/0"


def test_other_files_beside_the_secrets_are_let_be(secrets: Path) -> None:
    (secrets / "redis_password").write_text("canary")
    (secrets / "redis.conf").write_text("requirepass canary")

    assert "canary" not in str(read_settings(JobSettings))


def test_no_folder_is_no_secret(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(secrets / "missing"))

    assert read_settings(JobSettings).celery_broker_url.startswith("redis://127.0.0.1")
