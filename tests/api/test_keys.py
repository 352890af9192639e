"""Where the keys come from, and that they go no further."""

from pathlib import Path

import pytest

from api import create_app
from api.auth import DUMMY_KEY, KeyRing
from api.settings import ApiSettings
from jobs.environment import read_settings
from tests.api.conftest import HandWorker

SECRET = "canary-4f1d"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.txt"
    file.write_text(f"\ufeff# who may draw\n\n  {SECRET}  \n#{DUMMY_KEY}\r\nключ", encoding="utf-8")
    return file


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that names no keys, apart from the `.env` of the checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("API_KEYS", raising=False)
    monkeypatch.delenv("API_KEYS_FILE", raising=False)
    return monkeypatch


def test_a_file_holds_a_key_a_line(environment: pytest.MonkeyPatch, key_file: Path) -> None:
    environment.setenv("API_KEYS_FILE", str(key_file))
    assert ApiSettings().keys == (SECRET, "ключ")


def test_a_file_shuts_the_dummy_key_out(environment: pytest.MonkeyPatch, key_file: Path) -> None:
    environment.setenv("API_KEYS_FILE", str(key_file))
    environment.setenv("API_KEYS", "")
    assert not KeyRing(ApiSettings().keys).has_dummy


def test_both_sources_add_up(environment: pytest.MonkeyPatch, key_file: Path) -> None:
    environment.setenv("API_KEYS_FILE", str(key_file))
    environment.setenv("API_KEYS", f"one,{DUMMY_KEY}")
    ring = KeyRing(ApiSettings().keys)
    assert all(ring.knows(key) for key in ("one", DUMMY_KEY, SECRET, "ключ"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file"),
        (b"", "holds no key"),
        (b"# nobody yet\n\n", "holds no key"),
        (f"{SECRET}\n".encode("utf-16"), "not a text file"),
    ],
)
def test_a_file_without_keys_stops_the_start_with_one_clear_line(
    environment: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "given"
    if content is not None:
        file.write_bytes(content)
    environment.setenv("API_KEYS_FILE", str(file))
    with pytest.raises(SystemExit) as stopped:
        read_settings(ApiSettings)
    said = str(stopped.value)
    assert "API_KEYS_FILE" in said
    assert problem in said
    assert "\n" not in said
    assert SECRET not in said


def test_a_folder_is_no_file_of_keys(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment.setenv("API_KEYS_FILE", str(tmp_path))
    with pytest.raises(SystemExit, match=r"API_KEYS_FILE.*Is a directory"):
        read_settings(ApiSettings)


def test_settings_and_rings_do_not_show_their_keys(
    environment: pytest.MonkeyPatch, key_file: Path
) -> None:
    environment.setenv("API_KEYS", "canary-77")
    environment.setenv("API_KEYS_FILE", str(key_file))
    environment.setenv("CELERY_BROKER_URL", "redis://:canary-password@localhost:1/0")
    settings = ApiSettings()
    assert "canary" not in f"{settings!r} {settings} {KeyRing(settings.keys)!r}"


def test_a_wrong_setting_beside_them_does_not_show_the_keys(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("API_KEYS", SECRET)
    environment.setenv("PORT", "many")
    environment.setenv("RATE_LIMIT", "often")
    with pytest.raises(SystemExit, match="PORT='many'") as stopped:
        read_settings(ApiSettings)
    assert "RATE_LIMIT='often'" in str(stopped.value)
    assert SECRET not in str(stopped.value)


def test_a_list_of_no_keys_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("API_KEYS", " , ")
    with pytest.raises(SystemExit, match="API_KEYS"):
        read_settings(ApiSettings)


def test_the_keys_of_the_file_open_the_api(
    settings: ApiSettings, worker: HandWorker, key_file: Path
) -> None:
    given = {**settings.model_dump(exclude={"api_keys"}), "api_keys_file": key_file}
    client = create_app(ApiSettings(**given)).test_client()
    body = {"prompt": "a cat"}

    assert client.post("/generate", json={**body, "api_key": SECRET}).status_code == 202
    assert client.post("/generate", json={**body, "api_key": DUMMY_KEY}).status_code == 401
