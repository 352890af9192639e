"""Where settings come from: the environment, and secrets as files."""

import json
from pathlib import Path

import pytest

from api.settings import ApiSettings
from jobs import environment
from jobs.environment import RENAMED, read_settings
from jobs.settings import JobSettings
from worker.settings import WorkerSettings

SECRET = "redis://:canary-password@redis:6379/0"


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of secrets, and no setting from elsewhere."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRETS_DIR", str(folder))
    ours = ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "API_KEYS", "LOG_FORMAT")
    for name in (*ours, *RENAMED, *RENAMED.values()):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(environment, "_warned", set())
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


VALUES = {"TYPES": ("optimized", ("optimized",)), "COPIES_SIZE": ("3GB", 3 * 10**9)}


@pytest.mark.parametrize("old", RENAMED)
@pytest.mark.usefixtures("secrets")
def test_a_deprecated_name_sets_the_setting_and_warns_once(
    old: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kind = ApiSettings if old == "SYNCHRONOUS_SECONDS" else WorkerSettings
    text, value = VALUES.get(old, ("77", 77))
    monkeypatch.setenv(old, text)

    assert getattr(read_settings(kind), RENAMED[old].lower()) == value
    assert getattr(read_settings(kind), RENAMED[old].lower()) == value

    assert capfd.readouterr().err == (
        f"warning: the setting {old} is now called {RENAMED[old]}; "
        "the next version will ignore the old name\n"
    )


def test_a_deprecated_name_is_read_from_the_env_file_and_from_secrets(secrets: Path) -> None:
    Path(".env").write_text("WAKE_SECONDS=7\nANNOUNCE_SECONDS=\n")
    (secrets / "stray_seconds").write_text("8")

    settings = read_settings(WorkerSettings)

    assert (settings.resend_after, settings.orphan_grace) == (7, 8)
    assert settings.heartbeat_interval == WorkerSettings.model_fields["heartbeat_interval"].default


@pytest.mark.usefixtures("secrets")
def test_the_new_name_wins_over_the_deprecated_one_wherever_it_is_set(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TYPES", "optimized")
    Path(".env").write_text("JOB_TYPES=standard\n")

    assert read_settings(WorkerSettings).job_types == ("standard",)
    assert capfd.readouterr().err == (
        "warning: the setting TYPES is now called JOB_TYPES; both are set, so TYPES is ignored\n"
    )


@pytest.mark.usefixtures("secrets")
def test_a_process_without_the_setting_does_not_warn(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TYPES", "neither")

    read_settings(ApiSettings)

    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("secrets")
def test_an_invalid_value_is_reported_under_the_name_that_set_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REMEMBERED_SECONDS", "-1")

    with pytest.raises(SystemExit, match="wrong settings: REMEMBERED_SECONDS='-1': "):
        read_settings(JobSettings)


@pytest.mark.usefixtures("secrets")
def test_a_warning_is_a_json_object_where_the_log_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    monkeypatch.setenv("REMEMBERED_SECONDS", "5")

    read_settings(JobSettings)

    event = json.loads(capfd.readouterr().err)
    assert event["level"] == "warning"
    assert "TOMBSTONE_TTL" in event["event"]


def test_no_deprecated_name_is_a_setting_and_every_new_one_is() -> None:
    fields = {*ApiSettings.model_fields, *WorkerSettings.model_fields}

    assert {new.lower() for new in RENAMED.values()} <= fields
    assert not {old.lower() for old in RENAMED} & fields
