"""The private Valkey."""

from pathlib import Path

import pytest
import redis

from launcher.service import Service
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
