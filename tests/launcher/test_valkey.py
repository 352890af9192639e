"""The private Valkey."""

from pathlib import Path
from typing import Any

import pytest
import redis

from launcher.service import Service
from launcher.settings import LauncherSettings
from launcher.valkey import start_valkey
from tests.processes import eventually


def reachable(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'a "strange" folder'


def test_written_data_survives_a_kill(folder: Path) -> None:
    for round_ in range(2):
        service, url = start_valkey(folder, lambda *line: None)
        try:
            assert eventually(lambda at=url: reachable(at))
            with redis.Redis.from_url(url) as client:
                assert client.incr("rounds") == round_ + 1
        finally:
            service.kill()


def test_a_full_memory_refuses_writes_and_evicts_nothing(folder: Path) -> None:
    service, url = start_valkey(folder, lambda *line: None, max_memory=16 * 2**20)
    try:
        assert eventually(lambda: reachable(url))
        with redis.Redis.from_url(url, decode_responses=True) as client:
            written = 0
            with pytest.raises(redis.OutOfMemoryError):
                while True:
                    client.set(f"record:{written}", "x" * 100_000)
                    written += 1
            assert 50 < written < 200
            assert client.dbsize() == written
    finally:
        service.kill()


def test_the_default_is_bounded(folder: Path) -> None:
    service, url = start_valkey(folder, lambda *line: None)
    try:
        assert eventually(lambda: reachable(url))
        with redis.Redis.from_url(url, decode_responses=True) as client:
            limits: Any = client.config_get("maxmemory*")
        assert int(limits["maxmemory"]) == LauncherSettings().valkey_max_memory > 0
        assert limits["maxmemory-policy"] == "noeviction"
    finally:
        service.kill()


def test_a_client_without_the_password_is_refused(folder: Path) -> None:
    service, url = start_valkey(folder, lambda *line: None)
    try:
        assert eventually(lambda: reachable(url))
        stranger = redis.Redis.from_url(f"redis://{url.rpartition('@')[2]}")
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert url.split(":")[2].split("@")[0] not in _command_line(service)
    finally:
        service.kill()


def _command_line(service: Service) -> str:
    return Path(f"/proc/{service.pid}/cmdline").read_text()
