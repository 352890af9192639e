"""What `make up` prints for the clients, and that it shows no key to anything but a terminal."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.environment import read_settings
from launcher.addresses import DUMMY_KEY, KeySettings, addresses

URL = "http://127.0.0.1:5001"
PRINTING = """
from jobs.environment import read_settings
from launcher.addresses import KeySettings, addresses
print(addresses("http://127.0.0.1:5001", read_settings(KeySettings).shown_key))
"""


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment that names no keys, apart from the `.env` of the checkout."""
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("API_KEYS", raising=False)
    monkeypatch.delenv("API_KEYS_FILE", raising=False)
    return monkeypatch


def printed_to_a_terminal() -> str:
    terminal, end = pty.openpty()
    subprocess.run([sys.executable, "-c", PRINTING], stdout=end, check=True)
    os.close(end)
    with os.fdopen(terminal, "rb", buffering=0) as reader:
        return reader.read(65536).decode()


def printed_to_a_log() -> str:
    command = [sys.executable, "-c", PRINTING]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_each_sort_of_client_has_its_address_and_the_page_a_link_with_a_key() -> None:
    text = addresses(URL, DUMMY_KEY)
    assert f" {URL}/#key={DUMMY_KEY}\n" in text
    assert f" {URL}\n" in text
    assert f" {URL}/v1\n" in text
    assert "AUTOMATIC1111" in text
    assert f'"api_key": "{DUMMY_KEY}"' in text
    assert f"{URL}/#key=a%2Bb%26%D0%BA%20%23" in addresses(URL, "a+b&к #")


def test_the_well_known_key_is_no_secret(settings: pytest.MonkeyPatch) -> None:
    assert read_settings(KeySettings).shown_key == DUMMY_KEY
    assert f"#key={DUMMY_KEY}" in printed_to_a_log()


def test_an_own_key_is_shown_to_a_terminal_only(
    settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("API_KEYS= mine , other\n")
    text = printed_to_a_terminal()
    assert f"{URL}/#key=mine" in text
    assert "other" not in text
    assert DUMMY_KEY not in text
    log = printed_to_a_log()
    assert "mine" not in log
    assert DUMMY_KEY not in log
    assert f" {URL}/\n" in log


def test_the_keys_of_a_file_are_not_shown(settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("mine\n")
    settings.setenv("API_KEYS_FILE", str(tmp_path / "keys"))
    text = printed_to_a_terminal()
    assert "mine" not in text
    assert DUMMY_KEY not in text
    assert "API_KEYS_FILE" in text
